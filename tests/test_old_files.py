"""Files of earlier versions still resume and load. data/make_46b86b4.py made them with the code of
commit 46b86b4.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxpercept import cli, config
from jaxpercept.errors import InputError
from jaxpercept.inference.model import load_model
from jaxpercept.nets import weights_file
from jaxpercept.training import loop

OLD = Path(__file__).resolve().parent / "data" / "46b86b4"
ANOTHER_CPU = 1e-3  # relative; losing Adam's old moments changes the last loss by 0.3 %


@pytest.fixture
def old(tmp_path, monkeypatch):
    """Makes a copy in which the tests run, since its configs name files relative to it."""
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")


def settings(run):
    return config.train_config_from_dict(json.loads(Path(run, "config.json").read_text()))


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def losses(path):
    return [[line[k] for k in ("loss", "content", "style", "tv")] for line in lines(path)]


def test_a_stopped_run_goes_on_as_if_it_had_not_been(old):
    seen = []
    path = loop.train(settings("style"), on_log=lambda line: seen.append(line["step"]))
    assert seen == [5, 6]
    assert [line["step"] for line in lines("style/metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(
        losses("style/metrics.jsonl"), losses("style_whole.jsonl"), rtol=ANOTHER_CPU
    )
    x = np.load("outputs.npz")["x"]
    ours, whole = load_model(path), load_model("style_whole.safetensors")
    np.testing.assert_allclose(ours(x), whole(x), atol=ANOTHER_CPU)
    for key in ("steps", "images", "terms", "data"):
        assert ours.header["training"][key] == whole.header["training"][key]


def test_a_finished_run_of_several_styles_started_again_changes_nothing(old):
    before, header = weights_file.read_weights("multistyle/model.safetensors")
    after, again = weights_file.read_weights(loop.train(settings("multistyle")))
    assert all(np.array_equal(before[name], value) for name, value in after.items())
    assert again["styles"] == header["styles"]
    assert [line["step"] for line in lines("multistyle/metrics.jsonl")] == [1, 2, 3]


def test_other_settings_are_still_refused(old):
    with pytest.raises(InputError, match=r"other settings \(seed: 0 → 1\)"):
        loop.train(dataclasses.replace(settings("style"), seed=1))


@pytest.mark.parametrize(
    ("name", "net"),
    [
        ("imported.safetensors", "imported"),
        ("style/model.safetensors", "style"),
        ("multistyle/model.safetensors:dots=0.25,lines=0.75", "multistyle"),
    ],
)
def test_a_net_makes_the_picture_that_it_made(old, name, net):
    made = np.load("outputs.npz")
    np.testing.assert_allclose(load_model(name)(made["x"]), made[net], atol=1e-4)


def test_runs_are_listed(old, capsys):
    assert cli.main(["runs", "style", "multistyle"]) == 0
    said = capsys.readouterr().out
    assert "style" in said
    assert "4 of 6" in said
    assert "3 of 3" in said
