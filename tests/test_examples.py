"""The examples run at tiny size and write their pictures."""

import importlib.util
import itertools
import runpy
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxpercept import images
from jaxpercept.errors import InputError
from jaxpercept.images import samples
from jaxpercept.inference import strokes
from jaxpercept.inference.model import load_model
from jaxpercept.training import engines


@pytest.fixture
def example(root):
    def load(name):
        spec = importlib.util.spec_from_file_location(name, root / "examples" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def one_device(monkeypatch):
    """Examples train with a batch of one."""
    make = engines.make_engine
    monkeypatch.setattr(
        engines, "make_engine", lambda name, batch: make(name, batch, jax.devices()[:1])
    )


@pytest.mark.slow
def test_laplacian_loss(example, one_device, tmp_path):
    path = example("laplacian_loss").main(2, tmp_path, size=32)
    assert images.load_image(path).shape == (32, 96, 3)
    assert '"laplacian"' in (tmp_path / "with" / "metrics.jsonl").read_text()
    assert '"laplacian"' not in (tmp_path / "without" / "metrics.jsonl").read_text()


def test_distances_of_features(example, tmp_path, monkeypatch):
    """The fast twin of the two tests below: shallower features, fewer iterations."""
    made = example("feature_distances")
    monkeypatch.setattr(made, "LAYER", "relu1_1")
    strip = images.load_image(made.main(2, tmp_path, size=16))
    assert strip.shape == (16, 64, 3)
    several = np.split(strip, 4, axis=1)
    assert all(np.abs(a - b).max() > 0.01 for a, b in itertools.pairwise(several))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pictures"), [("content_layers", 5), ("feature_distances", 4)])
def test_examples_that_optimise(example, tmp_path, name, pictures):
    strip = images.load_image(example(name).main(4, tmp_path, size=32))
    assert strip.shape == (32, 32 * pictures, 3)
    several = np.split(strip, pictures, axis=1)
    assert all(np.abs(a - b).max() > 0.01 for a, b in itertools.pairwise(several))


def test_blends(example, tmp_path):
    """Each row leads from one style to the next: it begins where the last row ended and moves away
    step by step."""
    made = example("blend_styles")
    photo = images.resize(samples.sample_photos()["chelsea"], 64, "long")
    rows = list(made.blends("multi", photo).values())
    assert len(rows) == len(load_model("multi:wave").styles) - 1
    for above, below in itertools.pairwise(rows):
        np.testing.assert_allclose(above[-1], below[0], atol=1e-5)
    for first, *others in rows:
        apart = [float(np.abs(other - first).mean()) for other in others]
        assert 0.01 < apart[0] < apart[-1]
    height, width, _ = images.load_image(made.main(None, tmp_path, size=64)).shape
    assert height > len(rows) * photo.shape[0]
    assert width > len(made.SHARES) * photo.shape[1]
    with pytest.raises(SystemExit, match="wave holds a single style"):
        made.blends("wave", photo)


def test_strokes_compared(example, tmp_path, monkeypatch):
    made = example("compare_strokes")
    monkeypatch.setattr(strokes, "SEEN", 32)
    photo = images.to_uint8(images.resize(samples.sample_photos()["coffee"], (64, 96)))
    automatic, bicubic, fine = made.painted(photo, load_model("wave")).values()
    assert automatic.shape == bicubic.shape == fine.shape == photo.shape
    apart = [np.abs(x.astype(int) - automatic).mean() for x in (bicubic, fine)]
    assert 0.5 < apart[0] < apart[1]
    file = images.save_image(tmp_path / "photo.png", photo)
    made.main([str(file), "-o", str(tmp_path / "sheet.png"), "--side", "40"])
    assert images.load_image(tmp_path / "sheet.png").shape[1] > 3 * 40
    small = images.save_image(tmp_path / "small.png", photo[:15])
    with pytest.raises(InputError, match=r"small\.png: 96x15 is too small; give at least 16"):
        made.main([str(small), "-o", str(tmp_path / "sheet.png")])
    thin = made.painted(photo[:17], load_model("wave"))  # reduced to the net's least side only
    assert {x.shape for x in thin.values()} == {(17, 96, 3)}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["missing.jpg"], "missing.jpg"),
        (["photo.png", "--style", "nosuch"], ".?nosuch"),
        (["photo.png", "--at", "nan", "0"], "--at nan is not allowed; give at least 0 and at most"),
        (["photo.png", "--side", "0"], "--side 0 is not allowed; give at least 1"),
    ],
)
def test_a_mistake_in_comparing_strokes_is_one_line(root, tmp_path, monkeypatch, wrong, said):
    monkeypatch.chdir(tmp_path)
    images.save_image("photo.png", np.zeros((32, 32, 3), np.float32))
    monkeypatch.setattr(sys, "argv", ["compare_strokes.py", *wrong, "-o", "sheet.png"])
    with pytest.raises(SystemExit, match=f"^error: {said}"):
        runpy.run_path(str(root / "examples" / "compare_strokes.py"), run_name="__main__")


@pytest.mark.parametrize(
    "name", ["blend_styles", "content_layers", "feature_distances", "laplacian_loss"]
)
def test_help_and_no_and_bad_arguments(root, monkeypatch, capsys, name):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(root / "examples" / f"{name}.py"), run_name="__main__")
        return stopped.value.code

    assert run("--help") == 0
    assert "folder of" in capsys.readouterr().out
    if name == "blend_styles":
        assert "no such file" in run("missing.jpg")
    else:
        assert run("nine") == 2
        assert "invalid int value: 'nine'" in capsys.readouterr().err

    def begun():
        raise InputError("begun")

    monkeypatch.setattr(samples, "sample_photos", begun)
    assert run() == "error: begun"


GRADIO = """
import numpy as np
from examples import gradio_app
from jaxpercept import images
from jaxpercept.images import samples
photo = images.to_uint8(samples.sample_photos()["coffee"][:96, :64])
painted = gradio_app.app.fns[0].fn(photo, "wave", 1.0, False, 1024)
assert (painted.shape, painted.dtype) == (photo.shape, np.uint8)
assert np.abs(painted.astype(int) - photo).mean() > 10
np.testing.assert_array_equal(gradio_app.paint(photo, "wave", 0.0, False, 1024), photo)
"""


def test_gradio_app(root):
    """Calls the app's function in a process of its own, because Gradio's import leaves an event
    loop open, which is an error here."""
    if not importlib.util.find_spec("gradio"):
        pytest.skip("needs gradio")
    done = subprocess.run(
        [sys.executable, "-c", GRADIO], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
