"""Distillation: a net that learns the pictures of another one."""

import json

import pytest
from helpers import save_noise, save_style, status

from jaxpercept.config import TrainConfig, superres_net
from jaxpercept.errors import InputError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    save_noise(tmp_path / "photos", ("a.png", "b.png"), 40, 40)
    save_style(tmp_path / "teacher.safetensors")
    return tmp_path


def train(folder, *more, run="run"):
    """Runs a training on l1 alone, and returns its status and the l1 of each step."""
    given = "train style --weights.content 0 --weights.style 0 --weights.tv 0 --weights.l1 1"
    given += f" --style-image {folder}/photos/a.png --data {folder}/photos"
    given += " --image-size 32 --batch-size 4 --log-every 1 --steps 1"
    code = status(*given.split(), "--out", folder / run, *more)
    log = folder / run / "metrics.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return code, [json.loads(text)["l1"] for text in lines]


def test_a_net_learns_its_teachers_pictures(folder):
    """Started from the teacher itself, it is exact but for rounding, which the photos are not."""
    file = folder / "teacher.safetensors"
    code, (itself,) = train(folder, "--teacher", file, "--init", file)
    assert code == 0
    assert itself < 0.01
    code, (photo,) = train(folder, "--init", file, run="plain")
    assert code == 0
    assert photo > 1
    assert train(folder, "--init", file)[0] == 2  # another run than that with a teacher


def test_what_cannot_be_learned_from_is_refused(folder, capsys):
    small = ("--width", 0.05)
    assert train(folder, *small, "--teacher", "x4-pixel") == (2, [])
    assert "x4-pixel" in capsys.readouterr().err
    assert train(folder, *small, "--teacher", folder / "no.safetensors") == (2, [])
    assert "no.safetensors" in capsys.readouterr().err
    file = folder / "teacher.safetensors"
    assert train(folder, *small, "--teacher", file, "--stability", 1) == (2, [])
    assert "--teacher cannot be used together with --weights.stability" in capsys.readouterr().err
    with pytest.raises(InputError, match="teacher is for task 'style', got 'superres'"):
        TrainConfig(task="superres", teacher="wave", net=superres_net(4))
