"""Ctrl-C, SIGTERM and SIGHUP end every command in order: nothing half-written, no traceback."""

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import noise, save_noise, status, thin
from PIL import Image

from jaxpercept import config, data, images
from jaxpercept.inference.model import Model
from jaxpercept.nets import net_file, transform_net
from jaxpercept.runtime import stopping, threads
from jaxpercept.synthesis import run as synthesis
from jaxpercept.training import learn, style_recipe

pytestmark = pytest.mark.usefixtures("signals_at_rest")


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_interrupts_with_its_number(number):
    def killed():
        with stopping.interrupts():
            signal.raise_signal(number)
            signal.sigpending()  # a call in which Python runs the handler

    before = signal.getsignal(number)
    with pytest.raises(stopping.Interrupted) as raised:
        killed()
    assert stopping.status(raised.value.number) == 128 + number
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_request_is_noted_and_a_second_ctrl_c_stops_at_once(number, capfd):
    with stopping.requests("stopping soon") as stopped:
        stopped.begin()
        signal.raise_signal(number)
        signal.sigpending()
        assert list(stopped) == [number]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err.count("stopping soon; press Ctrl-C again") == 1


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_request_before_there_is_anything_to_save_stops_at_once(number, capfd):
    with stopping.requests("stopping soon") as stopped:
        with pytest.raises(stopping.Interrupted):
            signal.raise_signal(number)
        with pytest.raises(stopping.Interrupted):  # if that exception was lost
            stopped.begin()
    assert capfd.readouterr().err == ""


def test_an_exception_drops_what_the_threads_of_a_pool_have_not_begun():
    begun, ended = [], threading.Event()

    def interrupted():
        with threads.pool(1) as pool:
            waiting = [pool.submit(lambda: (begun.append(1), ended.wait(60))) for _ in range(4)]
            waiting[-1].add_done_callback(lambda _: ended.set())  # when it is dropped
            raise stopping.Interrupted(signal.SIGTERM)

    with pytest.raises(stopping.Interrupted):
        interrupted()
    assert len(begun) <= 1


@pytest.mark.parametrize("manager", [stopping.interrupts, lambda: stopping.requests("stopping")])
def test_ignored_signals_stay_ignored(manager):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with manager():
        signal.raise_signal(signal.SIGHUP)
        signal.sigpending()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


CTRL_C = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "jaxpercept.errors":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("program", ["infer.py", "train.py", "-mjaxpercept"])
def test_ctrl_c_while_the_program_is_imported(program, root, tmp_path):
    """The program sends it to itself: one of ours might come too late on a busy machine."""
    (tmp_path / "sitecustomize.py").write_text(CTRL_C)  # which Python imports first
    own = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, program, "--help"], cwd=root, env=own, stderr=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    root = tmp_path_factory.mktemp("nets")
    style, enlarging = thin(), config.superres_net(2).scaled(0.1)
    net_file.save(root / "style", style, *transform_net.init(style), {"task": "style"})
    header = {"task": "superres", "training": {"config": {"degradation": "bicubic"}}}
    net_file.save(root / "x2", enlarging, *transform_net.init(enlarging), header)
    return root


COMMANDS = {
    "stylize": "stylize photos --style {nets}/style --batch-size 1",
    "upscale": "upscale photos --model {nets}/x2",
    "video": "video 0.gif 1.gif --style {nets}/style",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_on_files_leave_whole_files(nets, tmp_path, monkeypatch, capsys, command, number):
    """The signal comes while the second file is processed."""
    monkeypatch.chdir(tmp_path)
    save_noise(tmp_path / "photos", [f"{i}.png" for i in range(4)], 24, 28)
    for name in ("0.gif", "1.gif"):
        frames = [Image.fromarray(images.to_uint8(noise(i, 24, 28))) for i in range(2)]
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    plain, calls = Model.__call__, []

    def interrupted(self, x):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(number)
        return plain(self, x)

    monkeypatch.setattr(Model, "__call__", interrupted)
    assert status(f"{COMMANDS[command].format(nets=nets)} -o out") == 128 + number
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == "jaxpercept: interrupted"
    assert "Traceback" not in said
    made = sorted((tmp_path / "out").iterdir())
    assert len(made) == 1
    assert all(images.load_image(path).shape[2] == 3 for path in made)
    assert len(calls) == 2


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_optimize_saves_its_picture(tmp_path, monkeypatch, capsys, number):
    """The first of two sizes and the second picture's turn are not finished."""
    monkeypatch.chdir(tmp_path)
    save_noise(tmp_path, ["a.png"], 16, 24)
    save_noise(tmp_path, ["b.png"], 24, 16)

    def stage(self, stage, pixels, first, grams, progress):
        signal.raise_signal(number)
        terms = {"loss": np.ones(1)}
        seen = synthesis.Progress(16, 24, 1, 500, np.ones(1), terms, 1.0, pixels, False)
        assert progress(seen)
        state = type("State", (), {"image": pixels / 2, "restarts": np.zeros(1)})
        return state, (np.ones((1, 2)), np.ones((1, 2))), (0.0, 0), True

    monkeypatch.setattr(synthesis.Job, "stage", stage)
    line = "optimize invert --content a.png b.png --layer relu1_1 --sizes 24 32 -o out"
    assert status(line) == 128 + number
    said = capsys.readouterr().err
    assert "1 of 2 images were not begun" in said
    (made,) = (tmp_path / "out").iterdir()
    expected = images.load_image(tmp_path / "a.png") / 2
    np.testing.assert_allclose(images.load_image(made), expected, atol=0.01)


class Learner:
    """A learner that is stopped after `steps` steps."""

    def __init__(self, steps, number):
        self.steps, self.number, self.recipe = steps, number, SimpleNamespace(vgg=None)

    def __call__(self, base, batch, **kind):
        self.batch = batch
        return self

    def compile(self):
        pass

    def prepared(self, vgg_params):
        return vgg_params

    def first(self, name):
        return lambda x: x

    def model(self, name, numbers):
        return lambda x: x

    def learn(self, *given, show, stopped):
        signal.raise_signal(self.number)
        assert list(stopped) == [self.number]
        return learn.Result({}, self.steps, {"loss": 1.0})

    def save(self, path, *given):
        path.write_text("learned")
        return path


def test_optimize_stops_at_once_while_it_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_noise(tmp_path, ["a.png", "b.png"], 16, 24)
    monkeypatch.setattr(images, "read", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    line = "optimize invert --content a.png b.png --layer relu1_1 -o out"
    assert status(line) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "jaxpercept: interrupted\n"


def test_learn_stops_at_once_while_it_waits_for_photos(tmp_path, monkeypatch, capsys):
    def waiting(*_, **__):
        signal.raise_signal(signal.SIGTERM)
        yield

    save_noise(tmp_path, ["a.png"], 32, 36)
    monkeypatch.setattr(learn, "Learner", Learner(3, signal.SIGTERM))
    monkeypatch.setattr(style_recipe, "style_grams", lambda *given: {})
    monkeypatch.setattr(data, "make_dataset", waiting)
    words = ["train", "learn", tmp_path / "a.png", "--out", tmp_path / "out"]
    assert status(*words, "--data", tmp_path) == 128 + signal.SIGTERM
    said = capsys.readouterr().err
    assert said.endswith("jaxpercept: interrupted\n")
    assert "what was learned is kept" not in said
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_learn_keeps_what_it_has(tmp_path, monkeypatch, capsys, number, steps):
    save_noise(tmp_path, ["a.png", "b.png"], 32, 36)
    monkeypatch.setattr(learn, "Learner", Learner(steps, number))
    monkeypatch.setattr(style_recipe, "style_grams", lambda *given: {})
    words = ["train", "learn", tmp_path / "a.png", tmp_path / "b.png", "--out", tmp_path / "out"]
    assert status(*words, "--data", tmp_path) == 128 + number
    kept = [path.name for path in (tmp_path / "out").glob("*.safetensors")]
    assert kept == (["a.safetensors"] if steps else [])
    said = capsys.readouterr().err
    assert ("interrupted" in said) == (not steps)
    assert "Traceback" not in said
