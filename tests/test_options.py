"""One declaration per option: config fields become flags, checks, messages and the resume check."""

import argparse
import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from jaxpercept import config
from jaxpercept.cli.options import add_fields, add_groups, given
from jaxpercept.cli.parser import build_parser
from jaxpercept.cli.reference import reference
from jaxpercept.config import options
from jaxpercept.config.options import GROUPS, option, settle
from jaxpercept.errors import InputError
from jaxpercept.synthesis.settings import SynthesisConfig

TRAIN = {
    "style": "--style-image s --data d",
    "multistyle": "--style-image s t --data d",
    "superres": "--scale 4 --loss pixel --data d",
}


def helps(command):
    """Returns the help of `train COMMAND` as {group: its text}."""
    parser = build_parser("jaxpercept")
    arguments = parser.parse_args(["train", command, *TRAIN[command].split()])
    assert arguments.data == ["d"]
    text = parser._reached().format_help()
    titles = [f"\n{name}:\n" for name in GROUPS]
    starts = [text.index(title) for title in titles]
    assert starts == sorted(starts)
    return {n: text[a:b] for n, a, b in zip(GROUPS, starts, [*starts[1:], None], strict=True)}


def parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for part in action.choices.values():
                yield from parsers(part)


def test_no_help_is_wider_than_100_columns():
    """An example whose line ends are lost is one long line."""
    found = list(parsers(build_parser("jaxpercept")))
    assert len(found) > 25
    for parser in found:
        wide = [line for line in parser.format_help().splitlines() if len(line) > 100]
        assert not wide, parser.prog


def test_an_option_of_many_values_that_is_repeated_keeps_them_all():
    """Otherwise `--on a.jpg --on b.jpg` would drop the first without a word."""
    for parser in parsers(build_parser("jaxpercept")):
        for action in parser._actions:
            if action.option_strings and action.nargs in ("+", "*"):
                assert isinstance(action, argparse._ExtendAction), (parser.prog, action)
                assert action.default in (None, []), (parser.prog, action)  # it would be extended


@pytest.mark.parametrize("command", TRAIN)
def test_every_option_of_a_training_stands_in_its_group(command):
    groups = helps(command)
    for kind in (config.TrainConfig, config.ObjectiveConfig):
        for name, about in options.options(kind).items():
            flag = about.elsewhere.get(command, (f"--{name.replace('_', '-')}", ""))[0]
            left_out = command == "superres" and name in ("losses", "style_layers")
            has = bool(about.help) and (command in about.only or not about.only) and not left_out
            shown = re.search(rf"\n  {flag}(?![\w-])", groups[about.group])
            assert bool(shown) == has, name


def test_an_option_of_training_is_of_some_command():
    about = options.options(config.TrainConfig)
    assert all(option.help or option.fixed for option in about.values())
    assert {command for option in about.values() for command in option.only} <= set(TRAIN)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Made:
    """A config with one field of each kind."""

    count: int = option(3, "how many", least=2, zero="none")
    share: float | None = option(None, "how much", above=0, most=1)
    method: str = option("fast", "by what", choices=("fast", "good"))
    names: tuple[str, ...] = option((), "which", group="data", choices=("a", "b"))
    exact: bool = option(False, "whether", fixed=True)
    weights: dict[str, float] = option({}, least=0)

    def __post_init__(self) -> None:
        settle(self)


def read(*line):
    parser = argparse.ArgumentParser()
    add_fields(add_groups(parser), Made, "any")
    return Made(**given(parser.parse_args(line), Made))


def test_a_field_is_an_option():
    assert read() == Made()
    line = "--count 0 --share 0.5 --method good --names a --names b a --exact"
    expected = Made(count=0, share=0.5, method="good", names=("a", "b", "a"), exact=True)
    assert read(*line.split()) == expected
    assert options.fixed(Made) == ["exact"]
    assert options.summary(expected, "any") == "exact"


def test_a_value_becomes_what_its_field_keeps():
    made = Made(
        count=np.int64(4), share=np.float32(0.5), names=["a", "b"], weights={"a": np.float32(2)}
    )
    assert made == Made(count=4, share=0.5, names=("a", "b"), weights={"a": 2.0})
    assert json.loads(json.dumps(dataclasses.asdict(made)))["count"] == 4
    assert Made(count=4.0, names="a") == Made(count=4, names=("a",))
    run = config.TrainConfig(data=Path("photos"), out=Path("runs") / "a", exclude=["*.tmp"])
    assert (run.data, run.out, run.exclude) == (("photos",), "runs/a", ("*.tmp",))


REFUSED = {
    "count": ({"count": 1}, "count 1 is not allowed; give at least 2, or 0 for none"),
    "share": ({"share": 0}, "share 0 is not allowed; give more than 0 and at most 1"),
    "nan": ({"share": float("nan")}, "share nan is not allowed; give more than 0 and at most 1"),
    "endless": ({"weights": {"a": math.inf}}, "inf is not allowed; give a finite number of at "),
    "count too far": ({"count": 10**30}, "count 1e+30 is not allowed; give at least 2 and at most"),
    "method": ({"method": "god"}, "did you mean good? Choose one of: fast, good"),
    "names": ({"names": ["a", "c"]}, "names 'c' is not known; choose one of: a, b"),
    "text": ({"count": "4"}, "count '4' is not allowed; give a whole number"),
    "fraction": ({"count": 2.5}, "count 2.5 is not allowed; give a whole number"),
    "true": ({"count": True}, "count True is not allowed; give a whole number"),
    "truth": ({"exact": 1}, "exact 1 is not allowed; give True or False"),
    "none": ({"count": None}, "count None is not allowed; give a whole number"),
    "weight": ({"weights": {"a": -1}}, "weights.a -1 is not allowed; give at least 0"),
    "a list of numbers": ({"names": [1]}, "names 1 is not allowed; give a text"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_wrong_value_is_refused_by_the_fields_name(case):
    values, expected = REFUSED[case]
    with pytest.raises(InputError) as e:
        Made(**values)
    assert expected in str(e.value)


def test_the_command_line_names_the_flag_and_python_the_field():
    cases = {
        "superres": ({"image_size": 8}, "image_size 8", "--patch-size 8"),
        "style": ({"batch_size": 0}, "batch_size 0", "--batch-size 0"),
        "multistyle": ({"schedule": "cos"}, "schedule 'cos'", "--schedule 'cos'"),
    }
    for command, (values, field, flag) in cases.items():
        parser = build_parser("jaxpercept")
        parser.parse_args(["train", command, *TRAIN[command].split()])
        with pytest.raises(InputError) as e:
            config.TrainConfig(**values)
        assert str(e.value).startswith(f"{field} is not ")
        assert e.value.with_flags(parser.flags()).startswith(f"{flag} is not ")
    with pytest.raises(InputError) as e:
        config.ObjectiveConfig(weights={"content": -1})
    assert e.value.with_flags(parser.flags()).startswith("--weights.content -1 is not allowed")


def test_what_a_resumed_run_must_keep():
    """A new field must be entered here, with whether it may change on resume."""
    free = {"data", "workers", "cache_gib", "max_broken", "init", "vgg", "steps", "out", "engine"}
    free |= {"teacher", "checkpoint_every", "preview_every", "log_every"}
    known = options.options(config.TrainConfig)
    assert set(known) - set(options.fixed(config.TrainConfig)) == free


def test_lists_in_python_are_the_checkpoints_tuples():
    objective = config.ObjectiveConfig(weights={"content": 1}, content_layers=["relu1_1"])
    made = config.TrainConfig(data=["a"], exclude=["*.tmp"], objective=objective)
    kept = json.loads(json.dumps(config.to_dict(made)))
    assert config.train_config_from_dict(kept) == made


def test_the_summary_names_what_makes_a_run_what_it_is():
    made = config.TrainConfig(
        clip=True, average="geometric", exclude=("*.gif", "b*"), style_image="s.png"
    )
    said = options.summary(made, "style")
    for part in (
        "exclude *.gif b*",
        "batch size 4",
        "learning rate 0.001",
        "clip",
        "style size 256",
    ):
        assert part in said.split(", ")
    assert "average geometric" in said
    assert "degradation" not in said
    assert "degradation blur" in options.summary(made, "superres")
    without = dataclasses.replace(made, style_image=None)
    assert "style size" not in options.summary(without, "style")  # nothing is scaled to it


def test_the_reference_in_docs_is_that_of_the_fields(root):
    """To fix it, run python -m jaxpercept.cli.reference > docs/options.md"""
    assert (root / "docs" / "options.md").read_text() == reference()


def test_every_preset_is_explained(capsys):
    assert config.NET_HELP.keys() == config.NET_PRESETS.keys()
    with pytest.raises(SystemExit):
        build_parser("jaxpercept").parse_args(["train", "style", "--help"])
    shown = capsys.readouterr().out.split("presets (--preset)")[1].split("examples:")[0]
    assert set(config.RECIPES) <= set(re.findall(r"\w+", shown))


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("optimize style --content c --style s --learning-rate 1", "--learning-rate does nothing"),
        ("optimize texture --style s --optimizer adam --history 5", "--history does nothing"),
        ("train style --data d --style-image s --cache device --workers 3", "--workers does"),
        ("train style --data d --style-image s --cache device --cache-gib 1", "--cache-gib does"),
        ("optimize style --content c --style s --optimizer adam --learning-rate 1", ""),
        ("train style --data d --style-image s --workers 3 --cache-gib 1", ""),
    ],
)
def test_an_option_that_does_nothing_beside_the_others_is_said(line, note, capsys):
    arguments = build_parser("jaxpercept").parse_args(line.split())
    given(arguments, config.TrainConfig if line.startswith("train") else SynthesisConfig)
    said = capsys.readouterr().err
    assert (note in said) if note else not said


def test_an_idle_option_names_a_field_of_its_config():
    for kind in (config.TrainConfig, config.ObjectiveConfig, SynthesisConfig):
        others = {about.idle_with[0] for about in options.options(kind).values()} - {""}
        assert others <= set(options.hints(kind))
