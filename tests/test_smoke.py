"""Each promise of the README once, at tiny size, in under a minute: `pytest -m smoke`."""

import importlib.metadata
import json
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from helpers import noise, save_noise, status

from jaxpercept import images

pytestmark = pytest.mark.smoke


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save_noise(tmp_path / "photos", ("a.png", "b.png", "c.jpg", "d.webp"), 24, 28)


def test_install(root):
    """Runs the console script of pyproject.toml, if it is installed, and `python -m`."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    script = importlib.metadata.EntryPoint(
        "jaxpercept", project["scripts"]["jaxpercept"], "console_scripts"
    )
    assert callable(script.load())
    try:
        installed = importlib.metadata.distribution("jaxpercept")
    except importlib.metadata.PackageNotFoundError:  # not installed, run from the checkout
        pass
    else:
        assert installed.version == project["version"]
        assert script in installed.entry_points
    command = [sys.executable, "-m", "jaxpercept", "stylize", "--list-styles"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "starry_night" in done.stdout


def test_stylize(photos):
    assert status("stylize photos/a.png --style starry_night -o out.png") == 0
    styled = images.load_image("out.png")
    assert styled.shape == (24, 28, 3)
    assert np.abs(styled - images.load_image("photos/a.png")).mean() > 0.05


def test_three_steps_a_resume_and_an_upscale(photos):
    train = (
        "train superres --scale 2 --loss pixel --data photos --out run --width 0.1 --patch-size 20 "
        "--batch-size 4 --log-every 1 --schedule constant --steps "
    )
    assert status(train + "3") == 0
    assert status(train + "4") == 0
    with open("run/metrics.jsonl") as lines:
        assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    assert status("upscale photos/a.png --scale 2 --model run/model.safetensors -o large.png") == 0
    assert images.load_image("large.png").shape == (48, 56, 3)


def lengstrom(a=3, b=4, c=4):
    """Returns the 48 variables of a narrow net of fast-style-transfer, by name."""
    kernels = [(9, 9, 3, a), (3, 3, a, b), (3, 3, b, c), *[(3, 3, c, c)] * 10]
    kernels += [(3, 3, b, c), (3, 3, a, b), (9, 9, a, 3)]
    widths = [a, b, c, *[c] * 10, b, a, 3]
    random, found = np.random.default_rng(0), {}
    for kernel, width in zip(kernels, widths, strict=True):
        for shape in (kernel, (width,), (width,)):
            name = f"Variable_{len(found)}" if found else "Variable"
            found[name] = random.normal(0, 0.3, shape).astype(np.float32)
    return found


def test_convert(photos):
    np.savez("theirs.npz", **lengstrom())
    line = "convert transform-net theirs.npz ours.safetensors --from lengstrom"
    assert status(line) == 0
    images.save_image("photo.png", noise(1, 21, 27))
    assert status("stylize photo.png --style ours.safetensors -o out.png") == 0
    assert images.load_image("out.png").shape == (21, 27, 3)
