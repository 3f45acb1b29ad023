"""Command lines as a person types them: results, one-line errors, exit statuses."""

import argparse
import dataclasses
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest
from conftest import ROOT
from helpers import status, thin

from jaxpercept import config, images
from jaxpercept.cli import demo, samples
from jaxpercept.cli import train as train_cli
from jaxpercept.cli.parser import build_parser
from jaxpercept.errors import InputError
from jaxpercept.inference.model import Model
from jaxpercept.nets import net_file, transform_net
from jaxpercept.training import loop, resident


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A weights directory with two tiny styles, and a folder of photos, two of one name."""
    root = tmp_path_factory.mktemp("place")
    net = thin()
    for seed, name in enumerate(("one", "two")):
        path = root / "weights" / "styles" / f"{name}.safetensors"
        net_file.save(path, net, *transform_net.init(net, seed=seed), {"task": "style"})
    (root / "weights" / "vgg16-imagenet.safetensors").symlink_to(
        ROOT / "weights" / "vgg16-imagenet.safetensors"
    )
    random = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "sub/a.png"):
        images.save_image(root / "photos" / name, random.random((20, 24, 3), np.float32))
    return root


@pytest.fixture
def shelf(place, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXPERCEPT_WEIGHTS", str(place / "weights"))
    monkeypatch.chdir(tmp_path)
    return place


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_one_file_one_style(shelf, tmp_path):
    assert status("stylize", shelf / "photos" / "a.png", "--style", "one", "-o", "out.jpg") == 0
    assert images.load_image("out.jpg").shape == (20, 24, 3)


def test_folders_and_several_styles_get_distinct_names(shelf, tmp_path):
    assert status("stylize", shelf / "photos", "--style", "one", "two", "-o", "out") == 0
    found = names(tmp_path / "out")
    assert len(found) == 6
    assert {"b_one.jpg", "b_two.jpg", "a_one.png", "sub/a_one.png"} < set(found)


def photo_files(shelf, folder, *given):
    """Writes a photo under each of these names below `folder`, whatever their suffixes say."""
    data = (shelf / "photos" / "a.png").read_bytes()
    for name in given:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_a_name_follows_from_its_input_alone(shelf, tmp_path):
    photo_files(shelf, tmp_path / "in", "x/p/a.png", "y/p/a.png", "e.gif", "e.png", "F.PNG")
    assert status("stylize", "in", "--style", "one", "two", "-o", "out") == 0
    stems = ["F", "e", "e.gif", "x/p/a", "y/p/a"]
    made = [f"{stem}_{style}.png" for stem in stems for style in ("one", "two")]
    made = [
        name.replace("F_one.png", "F_one.PNG").replace("F_two.png", "F_two.PNG") for name in made
    ]
    assert names(tmp_path / "out") == sorted(made)
    assert status("stylize", "in/*", "--style", "one", "-o", "by_pattern") == 0
    assert len(names(tmp_path / "by_pattern")) == 5
    assert set(names(tmp_path / "by_pattern")) < set(made)
    assert status("stylize", "in/x/p/a.png", "--style", "one", "-o", "alone") == 0
    assert names(tmp_path / "alone") == ["a_one.png"]


def test_skip_existing_skips_only_what_was_made(shelf, tmp_path, capsys):
    photo_files(shelf, tmp_path / "in", "x.png", "a/x.png")
    line = ("stylize", "in", "--style", "one", "-o", "out", "--skip-existing")
    assert status(*line) == 0
    photo_files(shelf, tmp_path / "in", "x.gif", "b/x.png")
    capsys.readouterr()
    assert status(*line) == 0
    said = capsys.readouterr().err
    assert "2 of 4 images existed already" in said
    assert names(tmp_path / "out") == [
        "a/x_one.png",
        "b/x_one.png",
        "x.gif_one.png",
        "x_one.png",
    ]


def test_inputs_of_one_name_are_refused_before_any_work(shelf, tmp_path, capsys):
    photo_files(shelf, tmp_path, "a/x.png", "b/x.png", "c/x.png", "c/X.png")
    for given in (["a/x.png", "b/x.png"], ["a", "b"], ["a/*.png", "b"], ["c"]):
        assert status("stylize", *given, "--style", "one", "-o", "out") == 2
        said = capsys.readouterr().err
        assert "would both be written to" in said
        assert "rename one" in said
        assert ("the folder that holds both" in said) == (given != ["c"])
        assert said.count("x.png") + said.count("X.png") == 2
    assert not (tmp_path / "out").exists()
    assert status("stylize", "c/x.png", "c/../c/x.png", "--style", "one", "-o", "out") == 0
    assert names(tmp_path / "out") == ["x_one.png"]


@pytest.mark.parametrize("out", ["photos/styled", "photos/deep/styled", "photos", "photos/deep"])
def test_the_same_command_twice_makes_the_same_files(shelf, tmp_path, capsys, out):
    photo_files(shelf, tmp_path / "photos", "a.png", "deep/b.png")
    (tmp_path / "photos/.keep").write_text("")
    line = ("stylize", "photos", "--style", "one", "-o", out)
    if out == "photos/deep":  # this output folder holds a photo, which is left out
        line = ("stylize", "photos", "photos/deep/b.png", "--style", "one", "-o", out)
    assert status(*line) == 0
    before = {n: (tmp_path / n).stat().st_size for n in names(tmp_path)}
    made = names(tmp_path / out)
    capsys.readouterr()
    assert status(*line) == 0
    said = capsys.readouterr().err
    assert {n: (tmp_path / n).stat().st_size for n in names(tmp_path)} == before
    assert names(tmp_path / out) == made
    assert "[2/2]" in said
    left = "left out, since this command writes files of these names: 2 (photos/a_one.png"
    assert said.count(left if out == "photos" else "in the output folder") == 1


def test_one_photo_stays_one_and_what_is_named_is_taken(shelf, tmp_path, capsys):
    photo_files(shelf, tmp_path, "photo.png")
    for _ in range(3):
        assert status("stylize", ".", "--style", "one") == 0
    assert names(tmp_path) == ["outputs/photo_one.png", "photo.png"]
    assert status("stylize", "outputs/photo_one.png", "--style", "one") == 0
    assert status("stylize", ".", "outputs", "--style", "two", "-o", "outputs/more") == 0
    assert names(tmp_path / "outputs" / "more") == [
        "outputs/photo_one_one_two.png",
        "outputs/photo_one_two.png",
        "photo_two.png",
    ]
    photo_files(shelf, tmp_path / "one", "x.png", "x_one.png")
    capsys.readouterr()
    line = ("stylize", "one/x.png", "one/x_one.png", "--style", "one", "-o", "one")
    assert status(*line) == 2
    assert "one/x_one.png is an input, and would be replaced" in capsys.readouterr().err
    assert names(tmp_path / "one") == ["x.png", "x_one.png"]
    assert status("stylize", "outputs/more", "--style", "one", "-o", "outputs/more") == 0


def test_patterns_and_the_default_style(shelf, tmp_path):
    assert status("stylize", f"{shelf}/photos/*.png", "-o", "out") == 0
    assert names(tmp_path / "out") == ["a_one.png"]


def test_two_runs_models_are_told_apart(shelf, tmp_path):
    runs = ["r1/model.safetensors", "r2/model.safetensors", "old/r2/model.safetensors"]
    for run in runs:
        (tmp_path / run).parent.mkdir(parents=True)
        (tmp_path / run).write_bytes((shelf / "weights/styles/one.safetensors").read_bytes())
    assert status("stylize", shelf / "photos" / "b.jpg", "--style", *runs, "-o", "out") == 0
    assert names(tmp_path / "out") == ["b_r1-model.jpg", "b_r2-model-2.jpg", "b_r2-model.jpg"]
    # alone, so that one run's pictures never replace another's
    assert status("stylize", shelf / "photos" / "b.jpg", "--style", runs[1], "-o", "alone") == 0
    assert names(tmp_path / "alone") == ["b_r2-model.jpg"]


def test_list_styles(shelf, capsys):
    assert status("stylize", "--list-styles") == 0
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_partial_batch_exits_with_1_and_does_the_rest(shelf, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"no")
    assert (
        status("stylize", "bad.jpg", shelf / "photos" / "a.png", "--style", "one", "-o", "out") == 1
    )
    assert names(tmp_path / "out") == ["a_one.png"]
    assert "bad.jpg" in capsys.readouterr().err


BAD = {
    "no such file": ("stylize none.jpg --style one", "none.jpg: no such file, folder or pattern"),
    "unknown style": (
        "stylize P --style wan",
        "'wan' is neither a file nor a shipped name; shipped in styles: one, two",
    ),
    "a painting as a style": (
        "stylize P --style small.png",
        "small.png: --style takes a trained style, and this is a picture; learn its style in a "
        "minute: python train.py learn small.png --on PHOTO",
    ),
    "not an image": (
        "stylize bad.jpg --style one",
        "bad.jpg: not an image that can be read; use JPEG, ",
    ),
    "size 0": ("stylize P --style one --size 0", "--size 0 is not allowed; give at least 16"),
    "too small": ("stylize small.png --style one", "at least 16"),
    "too many pixels": (
        "stylize P --style one --max-pixels 100",
        "480 pixels, more than the limit of 100",
    ),
    "several into one file": ("stylize P P2 --style one -o x.jpg", "names one file"),
    "unknown format": ("stylize P --style one -o x.gif", "unknown image suffix '.gif'"),
    "out under a file": (
        "stylize P --style one -o bad.jpg/x.jpg",
        "bad.jpg is a file, not a folder",
    ),
    "onto itself": ("stylize P --style one -o P", "is the input itself"),
    "out is a file": (
        "stylize P --style one -o weird.xyz",
        "weird.xyz is a file without a known image suffix",
    ),
    "another architecture": ("stylize P --style vgg.safetensors", "not a transform net"),
    "weights cut short": (
        "stylize P --style cut.safetensors",
        "is not a complete safetensors file",
    ),
    "no weights": ("stylize P --style weird.xyz", "); give the net's .safetensors file"),
    "weights of another project": (
        "stylize P --style candy.pth",
        "`jaxpercept convert --help` says how to make one",
    ),
    "a picture in the place of weights": (
        "convert vgg16 bad.jpg small.png",
        "DST small.png is not allowed; the name must end in .safetensors",
    ),
    "two figures in one file": (
        "evaluate superres --scale 4 --data P --json x.txt --markdown ./x.txt",
        "--json and --markdown both name ./x.txt; give two files",
    ),
    "no whole number": (
        "stylize P --style one --size 1e9",
        "--size '1e9' is not allowed; give a whole number",
    ),
    "no number": (
        "stylize P --style one --strength half",
        "--strength 'half' is not allowed; give a number",
    ),
    "prepare: a file": ("prepare bad.jpg out", "bad.jpg: is not a folder; give a folder of"),
    "style image too narrow": (
        "train style --style-image P --data P2 --style-size 16",
        "at least 16 per side, or a larger --style-size",
    ),
    "no input": ("stylize --style one", "no input image"),
    "style image missing": (
        "train style --style-image none.jpg --data P2",
        "none.jpg: no such file; give the path",
    ),
    "style image is none": (
        "train style --style-image bad.jpg --data P2",
        "bad.jpg: not an image that can be read",
    ),
    "no data": (
        "train style --style-image P --data nowhere",
        "nowhere: no such folder; --data takes",
    ),
    "empty data": (
        "train style --style-image P --data empty",
        "empty: no image to train on; looked for",
    ),
    "unknown preset": (
        "train style --style-image P --data P2 --preset moasic",
        "did you mean mosaic? Choose one of: ",
    ),
    "unknown layer": (
        "train style --style-image P --data P2 --content-layers conv1",
        "--content-layers 'conv1' is not known; choose one of: relu1_1, ",
    ),
    "unknown term": (
        "train style --style-image P --data P2 --weights.stile 3",
        "unknown option --weights.stile; did you mean --weights.style",
    ),
    "all weights 0": (
        "train style --style-image P --data P2 --weights.content 0 --weights.style 0 --weights.tv "
        "0",
        "every loss weight is 0; give at least one, as in --weights.content 1",
    ),
    "steps 0": ("train style --style-image P --data P2 --steps 0", "--steps 0 is not allowed"),
    "unknown command": (
        "trian style",
        "unknown command 'trian'; did you mean train? Choose one of: train, ",
    ),
    "unknown option": ("train style --stlye-image P --data P2", "did you mean --style-image"),
    "one argument too many": ("convert vgg16 a b c", "unexpected argument 'c'"),
    "unknown engine": (
        "train style --style-image P --data P2 --engine tpu",
        "--engine 'tpu' is not known; choose one of: shard_map, pmap",
    ),
    "unknown precision": (
        "parity --precision float8",
        "--precision 'float8' is not known; did you mean float32? Choose one of: float32, bfloat16",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_one_line_and_status_2(shelf, tmp_path, capsys, case):
    line, expected = BAD[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.jpg").write_bytes(b"no")
    (tmp_path / "weird.xyz").write_bytes(b"")
    (tmp_path / "candy.pth").write_bytes(b"")
    images.save_image("small.png", np.zeros((12, 40, 3), np.float32))
    (tmp_path / "vgg.safetensors").symlink_to(ROOT / "weights" / "vgg16-imagenet.safetensors")
    whole = (shelf / "weights" / "styles" / "one.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    before = names(tmp_path)
    words = {"P": str(shelf / "photos" / "a.png"), "P2": str(shelf / "photos")}
    assert status(*[words.get(w, w) for w in line.split()]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert expected in errors[0]
    assert names(tmp_path) == before


def parse(line):
    return train_cli.make_config(build_parser("jaxpercept").parse_args(line.split()))


def test_an_empty_argument_has_its_name_in_the_help(capsys):
    assert status("stylize", "", "--style", "wave") == 2
    assert "error: INPUT is empty; give a value" in capsys.readouterr().err


def test_options_override_the_preset():
    made = parse(
        "train style --style-image s --data d --preset candy --steps 7 --weights.tv 0 --width 0.25"
    )
    assert made.net == config.NET_PRESETS["reference"].scaled(0.25)
    assert made.objective.weights == {"content": 1.0, "style": 10, "tv": 0}
    assert made.objective.content_layers == ("relu3_3",)
    assert (made.steps, made.style_size, made.batch_size) == (7, 384, 4)


def test_defaults_are_the_designs():
    made = parse("train style --style-image s --data d e")
    assert made == config.TrainConfig(data=("d", "e"))
    assert (made.steps, made.batch_size, made.image_size, made.learning_rate) == (
        40_000,
        4,
        256,
        1e-3,
    )


def test_losses_bring_their_weights():
    made = parse("train style --style-image s --data d --losses paper --weights.content 2")
    assert made.objective.weights == {**config.DEFAULT_WEIGHTS["paper"], "content": 2.0}


def test_every_term_has_its_option(capsys):
    with pytest.raises(SystemExit):
        build_parser("jaxpercept").parse_args(["train", "style", "--help"])
    text = capsys.readouterr().out
    for name in ("content", "style", "tv", "pixel", "l1"):
        assert f"--weights.{name}" in text
        made = parse(f"train style --style-image s --data d --weights.{name} 0.5")
        assert made.objective.weights[name] == 0.5


def test_training_from_the_command_line(shelf, tmp_path, capsys):
    line = (
        f"train style --style-image {shelf}/photos/b.jpg --data {shelf}/photos --out run --steps "
        "2 --batch-size 4 "
        "--image-size 16 --style-size 24 --width 0.1 --style-layers relu1_1 --content-layers "
        "relu1_1 --log-every 1"
    )
    assert status(*line.split()) == 0
    err = capsys.readouterr().err
    assert "losses reference (content 1, style 5, tv 1e-06), content at relu1_1" in err
    assert "step 2/2" in err
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    said = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (said["steps"], said["style_size"], said["data"]) == (2, 24, [f"{shelf}/photos"])
    assert (
        status(
            "stylize", shelf / "photos" / "a.png", "--style", "run/model.safetensors", "-o", "o.png"
        )
        == 0
    )


def write_only(made):
    """Stands for a training: leaves the files of a finished one, without its steps."""
    out, net = Path(made.out), thin()
    assert len(list((out / "photos").iterdir())) > 1
    assert images.load_image(made.style_image).shape == (512, 512, 3)
    chosen = dataclasses.replace(made, cache=resident.choose_cache(made, 2, jax.devices()))
    (out / "config.json").write_text(json.dumps(config.to_dict(chosen)))
    header = {"task": "style", "training": {"steps": made.steps}}
    net_file.save(out / "model.safetensors", net, *transform_net.init(net), header)
    return out / "model.safetensors"


@pytest.mark.parametrize("trained", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_demo_trains_and_stylizes(monkeypatch, tmp_path, capsys, trained):
    if not trained:
        monkeypatch.setattr(loop, "train", write_only)
        photos = {"chelsea": np.full((300, 451, 3), 0.5, np.float32), "grey": np.zeros((9, 9, 3))}
        monkeypatch.setattr("jaxpercept.images.samples.sample_photos", lambda: photos)
    out = tmp_path / "a demo"
    demo.run(argparse.Namespace(), out=out, steps=2, size=32)
    assert images.load_image(out / "chelsea.jpg").shape == (300, 451, 3)
    assert f"infer.py stylize PHOTO.jpg --style '{out}/" in capsys.readouterr().err
    demo.run(argparse.Namespace(), out=out, steps=2, size=32)  # goes on, or says that it is done
    with pytest.raises(InputError, match="a trial with other settings"):
        demo.run(argparse.Namespace(), out=out, steps=3, size=32)


def test_the_samples_sheet(shelf, tmp_path, capsys, monkeypatch):
    tiny = {n: np.full((20, 24, 3), 0.5, np.float32) for n in ("cat", "dog")}
    monkeypatch.setattr("jaxpercept.images.samples.sample_photos", lambda: tiny)
    assert samples.run(argparse.Namespace(list_styles=False), tmp_path / "out") == 0
    expected = ["cat_one.jpg", "cat_two.jpg", "contact_sheet.jpg", "dog_one.jpg", "dog_two.jpg"]
    assert names(tmp_path / "out") == expected
    assert "contact_sheet.jpg" in capsys.readouterr().err


def test_prepare_and_convert_say_what_they_did(shelf, tmp_path, capsys):
    assert status("prepare", shelf / "photos", tmp_path / "packed") == 0
    assert "3 images" in capsys.readouterr().out
    assert status("convert", "vgg16", shelf / "photos" / "a.png", tmp_path / "v.safetensors") == 2
    assert "is not in a supported format" in capsys.readouterr().err


def test_a_missing_input_is_reported_and_the_rest_done(shelf, tmp_path, capsys):
    good = shelf / "photos" / "a.png"
    assert status("stylize", good, "missing.png", "--style", "one", "-o", "out") == 1
    assert names(tmp_path / "out") == ["a_one.png"]
    assert "missing.png: no such file" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_reported_and_the_rest_done(shelf, tmp_path, capsys):
    (tmp_path / "out" / "a_one.png").mkdir(parents=True)
    photos = [shelf / "photos" / name for name in ("a.png", "b.jpg")]
    assert status("stylize", *photos, "--style", "one", "-o", "out") == 1
    assert "b_one.jpg" in names(tmp_path / "out")
    assert "a_one.png: cannot be written" in capsys.readouterr().err


def test_sizes_beyond_the_limit_and_files_that_are_folders(shelf, tmp_path, capsys):
    good = shelf / "photos" / "a.png"
    assert status("stylize", good, "--style", "one", "--size", "200000", "-o", "o.png") == 2
    assert "give a smaller --size" in capsys.readouterr().err
    assert (
        status(
            "evaluate", "superres", "--data", shelf / "photos", "--scale", "4", "--json", tmp_path
        )
        == 2
    )
    assert "is a folder; give a file" in capsys.readouterr().err
    assert status("evaluate", "superres", "--data", good, "--scale", "4", "--json", "-") == 2
    assert "--json - names no file; give a file, or /dev/stdout" in capsys.readouterr().err
    for option in ("--seed", "--workers", "--cache-gib"):
        assert (
            status(
                "train", "style", "--style-image", good, "--data", shelf / "photos", option, "-1"
            )
            == 2
        )
        assert f"{option} -1 is not allowed" in capsys.readouterr().err


FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\n9 bytes")


@pytest.mark.parametrize("error", [MemoryError(), FULL])
def test_memory_that_does_not_suffice_is_one_line(shelf, tmp_path, monkeypatch, capsys, error):
    def train(made):
        raise error

    monkeypatch.setattr(loop, "train", train)
    style = shelf / "photos" / "a.png"
    assert status("train", "style", "--style-image", style, "--data", shelf / "photos") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not enough memory (" in line
    assert "--batch-size" in line


@pytest.mark.parametrize(
    ("line", "fixes"),
    [
        ("stylize --style one", "shrink it, give a smaller --size or give --tile"),
        ("gallery --style one", "shrink it or give a smaller --size"),
        (
            f"upscale --model {ROOT}/weights/superres/x4-pixel.safetensors",
            "shrink it or give --tile",
        ),
    ],
)
def test_advice_names_only_options_of_the_command(shelf, monkeypatch, capsys, line, fixes):
    monkeypatch.setattr(Model, "__call__", mock.Mock(side_effect=FULL))
    command, *options = line.split()
    assert status(command, shelf / "photos" / "a.png", *options, "-o", "out") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"a.png: too large for memory; {fixes}")


def test_a_command_without_max_pixels_does_not_suggest_it(tmp_path, capsys):
    gif = b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\xf0\0\0" + b"\0\0\0\xff\xff\xff"
    gif += b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0;"
    (tmp_path / "bomb.gif").write_bytes(gif)
    assert status("evaluate", "superres", "--data", tmp_path / "bomb.gif", "--scale", "4") == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("the limit of 400,000,000; shrink it")


def test_a_platform_that_is_not_here_is_one_line(root):
    environment = {**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "nonsense"}
    command = [sys.executable, "-m", "jaxpercept", "upscale", "README.md", "--scale", "4"]
    done = subprocess.run(
        command, env=environment, cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "JAX_PLATFORMS=nonsense: jax cannot start it here; unset JAX_PLATFORMS" in line
