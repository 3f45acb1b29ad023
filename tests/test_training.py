"""The loop learns, resumes bit for bit, refuses mistakes, and leaves usable files."""

import contextlib
import dataclasses
import errno
import functools
import io
import json
import logging
import os
import re
import shutil
import signal
import sys
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import noise, save_noise, tiny

from jaxpercept import config, images
from jaxpercept.data import loading
from jaxpercept.errors import InputError
from jaxpercept.losses import objective, terms
from jaxpercept.nets import net_file, transform_net, vgg, weights_file
from jaxpercept.runtime import stopping
from jaxpercept.runtime.console import Console
from jaxpercept.training import directory, engines, log, loop, result, runs
from jaxpercept.training.start import gram_targets, init_state
from jaxpercept.training.step import make_step

pytestmark = pytest.mark.usefixtures("cheap_trainings")

NET = tiny("paper")
OBJECTIVE = config.ObjectiveConfig(
    weights={"content": 1.0, "style": 5.0, "tv": 1e-6},
    content_layers=("relu1_2",),
    style_layers=("relu1_1", "relu1_2"),
)

# For tests that do not look at the losses: there is no loss network to compile.
PIXEL = {
    "style_image": None,
    "objective": config.ObjectiveConfig(losses="paper", weights={"pixel": 1.0}),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    save_noise(folder, [f"{i}.png" for i in range(6)], 40, 48)
    save_noise(folder.parent, ["style.png"], 48, 32)
    return folder


def make_config(photos, out, **kwargs):
    values = {
        "data": (str(photos),),
        "style_image": str(photos.parent / "style.png"),
        "style_size": 32,
        "out": str(out),
        "net": NET,
        "objective": OBJECTIVE,
        "steps": 6,
        "batch_size": 4,
        "image_size": 32,
        "checkpoint_every": 3,
        "preview_every": 6,
        "log_every": 1,
        **kwargs,
    }
    return config.TrainConfig(**values)


def metrics(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in runs.TIMING} for line in lines]


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "whole"
    loop.train(make_config(photos, out))
    return out


def test_a_run_leaves_what_its_docstring_says(whole):
    assert {p.name for p in whole.iterdir()} >= {
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "previews",
        "index.html",
    }
    assert [p.name for p in sorted((whole / "previews").iterdir())] == [
        "00000001.jpg",
        "00000006.jpg",
    ]
    page = (whole / "index.html").read_text()
    assert 'src="previews/00000006.jpg"' in page
    assert f"{metrics(whole)[-1]['loss']:.4g} at step 6" in page
    lines = metrics(whole)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert set(lines[0]) == {"step", "loss", "content", "style", "tv"}
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_tensorboard_gets_scalars_and_previews(whole):
    pytest.importorskip("tensorboardX")
    (events,) = whole.glob("events.out.tfevents.*")
    content = events.read_bytes()
    assert all(
        tag in content
        for tag in (b"loss", b"style", b"images_per_s", b"input_wait", b"preview", b"PNG")
    )


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


def test_progress_shows_terms_speed_wait_and_memory(photos, tmp_path, monkeypatch, capsys):
    class Device:
        def __init__(self, used):
            self.memory_stats = lambda: used and {"bytes_in_use": used}

    clock = Clock()
    monkeypatch.setattr(log, "time", clock)
    made = make_config(photos, tmp_path / "run")
    directory.describe(tmp_path / "run", made, [])
    with Console(True) as console, log.Log(made, console, 0, {}, None) as logged:
        monkeypatch.setattr(
            jax, "local_devices", lambda: [Device(None), Device(1_500_000), Device(3_000_000)]
        )
        logged.waiting(clock.passes, 0.75)
        clock.passes(0.25)
        logged.step(1, {"style": 2.0, "loss": 3.0}, {})
    said = capsys.readouterr().err.splitlines()[-1]
    shown = "4.00 images/s  1000 ms/step  input wait 75%  3 MB on the device  0:00:05 left"
    assert said.strip() == f"step 1/6  loss 3  style 2  {shown}"
    (line,) = runs.read_run(str(tmp_path / "run")).lines
    assert line == {
        "step": 1,
        "loss": 3.0,
        "style": 2.0,
        "images_per_s": 4.0,
        "ms_per_step": 1000.0,
        "input_wait": 0.75,
        "device_mb": 3,
    }


def test_the_time_of_previews_is_no_steps(photos, tmp_path, monkeypatch):
    """The first preview waits for the compiler."""
    clock = Clock()
    monkeypatch.setattr(log, "time", clock)
    made = make_config(photos, tmp_path / "run")
    directory.describe(tmp_path / "run", made, [])
    with Console(True) as console, log.Log(made, console, 0, {}, None) as logged:
        clock.passes(2)
        logged.step(1, {"loss": 3.0}, {})
        logged.apart(clock.passes, 60)
        clock.passes(2)
        logged.step(2, {"loss": 3.0}, {})
    lines = runs.read_run(str(tmp_path / "run")).lines
    assert [line["ms_per_step"] for line in lines] == [2000, 2000]


def test_slow_steps_between_logged_ones_are_shown(photos, tmp_path, monkeypatch, capsys):
    clock = Clock()
    monkeypatch.setattr(log, "time", clock)
    made = make_config(photos, tmp_path / "run", log_every=4)
    directory.describe(tmp_path / "run", made, [])
    with Console(True) as console, log.Log(made, console, 0, {}, None) as logged:
        logged.waiting(clock.passes, 5)
        assert logged.compiling(lambda seconds: clock.passes(seconds) or "program", 30) == "program"
        for step in range(1, 5):
            clock.passes(6)
            logged.step(step, {"loss": 3.0}, {})
    shown = "loss 3  0.67 images/s  6000 ms/step  input wait 0%"
    assert capsys.readouterr().err.splitlines() == [
        "compiling the training step",
        f"step 1/6  {shown}  0:00:30 left",
        f"step 3/6  {shown}  0:00:18 left",
        f"step 4/6  {shown}  0:00:12 left",
    ]
    assert [line["step"] for line in runs.read_run(str(tmp_path / "run")).lines] == [4]


def test_the_weights_file_describes_itself(whole, photos):
    net, params, stats, header = net_file.load(whole / "model.safetensors")
    assert net == NET
    assert header["training"]["steps"] == 6
    assert header["training"]["images"] == 24
    assert header["grain"] == 0.01
    assert header["style"]["sha256"] == weights_file.sha256(photos.parent / "style.png")
    run = functools.partial(transform_net.apply, net)
    y, _ = jax.eval_shape(run, params, stats, jnp.zeros((1, 20, 24, 3)))
    assert y.shape == (1, 20, 24, 3)


def test_an_interrupted_run_resumes_bit_for_bit(whole, photos, tmp_path):
    class Killed(BaseException):
        pass

    def kill(line):
        if line["step"] == 5:
            raise Killed

    out = tmp_path / "killed"
    with pytest.raises(Killed):
        loop.train(make_config(photos, out), on_log=kill)
    seen = []
    loop.train(make_config(photos, out), on_log=lambda line: seen.append(line["step"]))
    assert seen == [4, 5, 6]
    assert metrics(out) == metrics(whole)
    ours, theirs = (weights_file.read_weights(o / "model.safetensors")[0] for o in (out, whole))
    assert all(np.array_equal(ours[k], theirs[k]) for k in theirs)


def test_a_finished_run_started_again_changes_nothing(whole, photos):
    before = (whole / "model.safetensors").read_bytes()
    loop.train(make_config(photos, whole))
    assert (whole / "model.safetensors").read_bytes() == before


def test_contents_that_a_config_only_names_are_compared_on_resuming(photos, tmp_path):
    style = tmp_path / "style.png"
    shutil.copy(photos.parent / "style.png", style)
    made = make_config(photos, tmp_path / "run", steps=1, style_image=str(style))
    term = terms.LossTerm("own", lambda inputs: inputs.output.mean((1, 2, 3)), 2.0)
    loop.train(made, terms=[term])
    header = weights_file.read_weights(tmp_path / "run" / "model.safetensors")[1]
    assert header["training"]["terms"] == {"own": 2.0}
    with pytest.raises(InputError, match=r"other settings \(weights\.own: 2\.0 → 3\.0\)"):
        loop.train(
            dataclasses.replace(made, steps=2), terms=[dataclasses.replace(term, weight=3.0)]
        )
    images.save_image(style, noise(1, 32, 32))
    with pytest.raises(InputError, match=r"style image: other contents in \S*/style\.png\)"):
        loop.train(dataclasses.replace(made, steps=2), terms=[term])
    other = shutil.copy(style, tmp_path / "other.png")
    with pytest.raises(InputError, match=r"style image: \S*/style\.png → \S*/other\.png\)"):
        loop.train(dataclasses.replace(made, steps=2, style_image=str(other)), terms=[term])
    with pytest.raises(InputError, match=r"weights\.own: 2\.0 → null"):
        loop.train(dataclasses.replace(made, steps=2))


@pytest.mark.parametrize("task", ["style", "multistyle"])
def test_a_style_image_of_a_single_colour_is_refused(photos, tmp_path, task):
    grey = tmp_path / "grey.png"
    images.save_image(grey, np.full((32, 32, 3), 0.5))
    more = {"style_image": str(grey)}
    if task == "multistyle":
        net = dataclasses.replace(NET, norm="instance", styles=2)
        both = (str(photos.parent / "style.png"), str(grey))
        more = {"style_image": None, "style_images": both, "task": task, "net": net}
    with pytest.raises(InputError, match=r"grey\.png: is a single colour, which is no style"):
        loop.train(make_config(photos, tmp_path / "run", **more))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("signals_at_rest")
def test_a_signal_saves_and_ends_after_the_step_at_hand(photos, tmp_path):
    """SIGINT and SIGHUP do the same: see test_stopping.py."""
    made = make_config(photos, tmp_path / "run", **PIXEL, steps=50, checkpoint_every=50)
    weights = loop.train(
        made, on_log=lambda line: line["step"] == 2 and signal.raise_signal(signal.SIGTERM)
    )
    steps = weights_file.read_weights(weights)[1]["training"]["steps"]
    assert 2 <= steps < 10
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == [str(steps)]


@pytest.mark.usefixtures("signals_at_rest")
def test_a_caller_that_goes_on_with_the_net_learns_which_signal_came(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(
        loop.compilation_cache, "enable", lambda: signal.raise_signal(signal.SIGTERM)
    )
    with pytest.raises(stopping.Interrupted) as raised:
        loop.train_whole(make_config(photos, tmp_path / "run", **PIXEL))
    assert raised.value.number == signal.SIGTERM


@pytest.mark.usefixtures("signals_at_rest")
def test_a_signal_while_the_run_starts_is_not_lost(photos, tmp_path, monkeypatch):
    """It is kept even where its exception is raised in a callback that drops exceptions."""

    def ask(*_):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
            signal.sigpending()  # a call in which Python runs the handler

    monkeypatch.setattr(loop.compilation_cache, "enable", ask)
    monkeypatch.setattr(loop, "compiled", lambda *_: pytest.fail("makes a step"))
    with pytest.raises(stopping.Interrupted):
        loop.train(make_config(photos, tmp_path / "run", **PIXEL, steps=50))


@pytest.mark.usefixtures("signals_at_rest")
@pytest.mark.parametrize("cache", ["host", "device"])
def test_a_signal_ends_the_wait_for_the_first_photos(photos, tmp_path, monkeypatch, cache):
    """There is nothing to save yet. The same command begins again."""
    ended, of = threading.Event(), loading.load_uint8
    asked: list[int] = []

    def slow(*given, **how):
        if not asked:
            asked.append(1)
            os.kill(os.getpid(), signal.SIGTERM)
        ended.wait(2)
        return of(*given, **how)

    monkeypatch.setattr(loading, "load_uint8", slow)
    made = make_config(photos, tmp_path / "run", **PIXEL, steps=1, cache=cache)
    with pytest.raises(stopping.Interrupted) as stopped:
        loop.train(made)
    ended.set()
    assert stopped.value.number == signal.SIGTERM
    assert weights_file.read_header(loop.train(made))["training"]["steps"] == 1


def test_a_signal_that_is_ignored_at_the_start_stays_ignored(photos, tmp_path):
    """nohup does this."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        made = make_config(photos, tmp_path / "run", **PIXEL, steps=3)
        weights = loop.train(made, on_log=lambda _: signal.raise_signal(signal.SIGHUP))
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert weights_file.read_header(weights)["training"]["steps"] == 3


def test_lines_that_do_not_parse_do_not_block_resuming(whole, photos, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    log = out / "metrics.jsonl"
    intact = log.read_bytes()
    tails = (b'{"x": 1}\n', b"\xff\x00\n\x80}\n", b"7}\n", b'{"step": 4, "lo')
    for tail in (*tails, b"".join(tails)):
        log.write_bytes(intact + tail)
        assert len(runs.read_run(str(out)).lines) == 6
    loop.train(make_config(photos, out))
    assert metrics(out) == metrics(whole)


class Gone(io.StringIO):
    """The stream of a terminal that has disappeared."""

    def write(self, text):
        raise OSError(5, "Input/output error")


def test_previews_of_a_run_that_was_killed_and_given_up_are_not_those_of_the_next(photos, tmp_path):
    previews = tmp_path / "run" / "previews"
    previews.mkdir(parents=True)
    for name in ("00000002.jpg", "00000900.jpg", "900.jpg", "mine.jpg"):
        (previews / name).touch()
    loop.train(make_config(photos, tmp_path / "run", **PIXEL, steps=2))
    left = {path.name for path in previews.iterdir()}
    assert left == {"00000001.jpg", "00000002.jpg", "900.jpg", "mine.jpg"}
    assert (previews / "00000002.jpg").stat().st_size


def test_a_run_without_standard_error(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Gone())
    loop.train(make_config(photos, tmp_path / "run", **PIXEL, steps=2))
    assert len(metrics(tmp_path / "run")) == 2


@pytest.mark.parametrize("stream", [None, "closed", "gone"])
def test_lines_without_standard_error(monkeypatch, stream):
    """A Windows service has none."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", {None: None, "closed": closed, "gone": Gone()}[stream])
    with Console(True) as console:
        console.say("a line that the next replaces", live=True)
        console.say("a line")


def test_a_damaged_checkpoint_falls_back_to_the_one_before(whole, photos, tmp_path, caplog):
    out = tmp_path / "damaged"
    shutil.copytree(whole, out)
    for part in (out / "checkpoints" / "6" / "state").rglob("*"):
        if part.is_file():
            part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        loop.train(make_config(photos, out))
    assert "checkpoint 6 is damaged" in caplog.text
    assert metrics(out) == metrics(whole)


def test_checkpoints_that_cannot_be_read_are_left_alone(whole, photos, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    for part in (out / "checkpoints").glob("*/state/**/*"):
        if part.is_file():
            part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    there = sorted(path.name for path in (out / "checkpoints").iterdir())
    with pytest.raises(InputError, match=r"no checkpoint in it can be read \(6: .+\)"):
        loop.train(make_config(photos, out))
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == there


def test_a_run_goes_by_what_its_files_hold(whole, photos, tmp_path):
    """Photos, style image and start may move before a resume, but their contents must be the
    same."""
    out, start = tmp_path / "run", tmp_path / "start.safetensors"
    shutil.copy(whole / "model.safetensors", start)
    made = make_config(photos, out, steps=1, init=str(start))
    loop.train(made)
    elsewhere = {
        "data": (f"{photos.parent}/./{photos.name}/",),
        "style_image": str(shutil.copy(made.style_image, tmp_path / "moved.png")),
        "init": str(shutil.copy(start, tmp_path / "moved.safetensors")),
    }
    loop.train(dataclasses.replace(made, **elsewhere))
    shutil.copy(out / "model.safetensors", start)
    with pytest.raises(InputError, match=r"other settings \(init: "):
        loop.train(made)


def test_more_steps_continue_and_other_settings_are_refused(photos, tmp_path):
    out = tmp_path / "more"
    short = make_config(photos, out, **PIXEL, steps=2)
    loop.train(short)
    loop.train(dataclasses.replace(short, steps=3))
    assert [line["step"] for line in metrics(out)] == [1, 2, 3]
    with pytest.raises(InputError, match="batch_size: 4 → 8; seed: 0 → 5"):
        loop.train(dataclasses.replace(short, batch_size=8, seed=5))
    heavier = dataclasses.replace(short.objective, weights={**short.objective.weights, "tv": 0.5})
    with pytest.raises(InputError) as raised:
        loop.train(dataclasses.replace(short, objective=heavier))
    assert "(weights.tv: null → 0.5)" in str(raised.value)
    zero = dataclasses.replace(short.objective, weights={**short.objective.weights, "tv": 0})
    loop.train(dataclasses.replace(short, objective=zero, steps=3))  # the same objective
    assert "(--weights.tv: null" in raised.value.with_flags({"weights.tv": "--weights.tv"})
    kept = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    loop.train(dataclasses.replace(short, steps=1))  # less than there are
    assert kept == {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    down = dataclasses.replace(short, out=str(tmp_path / "down"), schedule="cosine")
    loop.train(down)
    with pytest.raises(InputError, match=r"steps: 2 → 3.*--init"):
        loop.train(dataclasses.replace(down, steps=3))


def test_a_config_of_a_newer_version(photos):
    made = config.to_dict(make_config(photos, "run")) | {"fancy": 1}
    with pytest.raises(InputError, match=r"unknown fields \['fancy'\]; update jaxpercept"):
        config.train_config_from_dict(made)


def test_lines_that_replace_each_other_end_before_the_next(photos, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    loop.train(make_config(photos, tmp_path / "run", **PIXEL, steps=2))
    said = capsys.readouterr().err
    assert re.search(
        r"\r\x1b\[Kstep 1/2 [^\n]*\r\x1b\[Kstep 2/2 [^\n]* left\n2 steps\. Weights: ", said
    )


def test_a_run_ends_with_the_number_of_the_photos_that_were_left_out(photos, tmp_path):
    start = types.SimpleNamespace(config=make_config(photos, tmp_path))
    stream = types.SimpleNamespace(problems={"x.jpg": "broken"}, too_small={"b.png", "a.png"})
    assert result.in_words(start, 0, 6, stream) == (
        "6 steps; left out: 1 broken image, such as x.jpg; left out: 2 images smaller than 32 "
        "pixels, such as a.png"
    )


def test_a_warm_start_adds_up(whole, photos, tmp_path):
    start = str(whole / "model.safetensors")
    path = loop.train(make_config(photos, tmp_path / "warm", steps=2, init=start))
    assert net_file.load(path)[3]["training"]["steps"] == 8
    with pytest.raises(InputError, match=f"{whole}: is a folder; give {start} or one of"):
        loop.train(make_config(photos, tmp_path / "other", init=str(whole)))
    other = config.NET_PRESETS["resize"].scaled(0.1)
    said = r"is another net than this run's: preset paper, not resize, stem 4, not 3, .*; give"
    with pytest.raises(InputError, match=said):
        loop.train(make_config(photos, tmp_path / "other", init=start, net=other))


def test_augment_reaches_the_stream(photos, tmp_path):
    first = {}
    for augment in (False, True):
        stream = loop.make_stream(make_config(photos, tmp_path, augment=augment))
        first[augment] = next(stream)["target"]
        stream.close()
    assert first[True].shape == first[False].shape
    assert (first[True] != first[False]).any()


def test_clip_judges_and_improves_the_picture_that_is_displayed(photos, tmp_path):
    """The net's outputs leave the range. Its loss is that of the clipped ones, and training pulls
    them back."""

    def contrast(inputs):
        return jnp.square(inputs.output - 0.5).mean((1, 2, 3))

    net = tiny("resize", output_scale=4.0)
    term, seen = terms.LossTerm("contrast", contrast, 1.0), {}
    for clip in (False, True):
        seldom = {"steps": 20, "checkpoint_every": 100, "preview_every": 100}
        out = tmp_path / str(clip)
        made = make_config(photos, out, net=net, style_image=None, clip=clip, **seldom)
        loop.train(made, terms=[term])
        seen[clip] = [line["contrast"] for line in metrics(tmp_path / str(clip))]
    assert seen[False][0] > 0.25 > seen[True][0]  # clipped values give at most 0.25
    assert seen[True][-1] < 0.8 * seen[True][0]


def test_a_custom_term_trains_and_is_logged(photos, tmp_path):
    def brightness(inputs):
        return jnp.square(inputs.output.mean((1, 2, 3)) - 0.9)

    term = terms.LossTerm("brightness", brightness, 10.0)
    loop.train(make_config(photos, tmp_path / "run", style_image=None), terms=[term])
    lines = metrics(tmp_path / "run")
    assert lines[-1]["brightness"] == lines[-1]["loss"] < lines[0]["brightness"]


def test_a_loss_that_is_not_finite_stops_and_names_step_and_term(photos, tmp_path):
    def bad(inputs):
        return jnp.log(inputs.output.mean((1, 2, 3)) - 100.0)

    with pytest.raises(FloatingPointError, match="step 1: loss, bad not finite"):
        loop.train(make_config(photos, tmp_path / "run"), terms=[terms.LossTerm("bad", bad)])
    assert not list((tmp_path / "run" / "checkpoints").glob("[0-9]*"))


def test_two_runs_into_one_directory(photos, tmp_path):
    def again(line):
        with pytest.raises(InputError, match="another run is using it"):
            loop.train(make_config(photos, tmp_path / "run", **PIXEL))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(make_config(photos, tmp_path / "run", **PIXEL), on_log=again)


def test_a_net_without_its_checkpoints_is_not_replaced(photos, tmp_path):
    net = tmp_path / "run" / "model.safetensors"
    net.parent.mkdir()
    net.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"a new run would replace it; give another --out"):
        loop.train(make_config(photos, net.parent, **PIXEL))
    assert net.read_bytes() == b"mine"


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", flock)
    with directory.locked(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()


def test_the_step_compiles_once(photos, tmp_path, monkeypatch):
    """The step compiles once per run. On resume the cache has it, as the restored state is the same
    program."""
    monkeypatch.setattr(loop, "compiled", loop.compiled.__wrapped__)
    traced, hits = [], []
    original = objective.evaluate
    monkeypatch.setattr(
        objective, "evaluate", lambda *a, **k: traced.append(1) or original(*a, **k)
    )
    jax.monitoring.register_event_listener(
        lambda event, **_: hits.append(event.endswith("/cache_hits"))
    )
    made = make_config(photos, tmp_path / "run", steps=4)
    loop.train(made)
    assert len(traced) == 1
    hits.clear()
    loop.train(dataclasses.replace(made, steps=6))
    assert len(traced) == 2
    assert any(hits) or os.environ["JAXPERCEPT_CACHE"] == "off"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"style_image": "no.jpg"}, "no.jpg"),
        ({"data": ("nowhere",)}, "nowhere"),
        ({"init": "no.safetensors"}, "no.safetensors"),
        ({"out": "/dev/null/run"}, "/dev/null/run"),
    ],
)
def test_bad_input_is_named(photos, tmp_path, kwargs, message):
    with pytest.raises(InputError, match=message):
        loop.train(make_config(photos, **{"out": tmp_path / "run", **kwargs}))


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "lock"])
def test_a_run_does_not_wait_for_the_reader_of_a_fifo(name, photos, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: not a file; give another directory"):
        loop.train(make_config(photos, tmp_path))
    assert os.listdir(tmp_path) == [name]


def equations(jaxpr):
    """Yields all equations of a program, at any depth."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
        ):
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                yield from equations(getattr(inner, "jaxpr", inner))


def test_bfloat16_computes_only_what_it_should_in_bfloat16(photos, tmp_path):
    """Convolutions are in bfloat16, also backward. Gram matrices (the only products of two
    matrices), parameters, statistics, Adam's moments and every reported term are in float32."""
    wide = tiny("paper", stem_size=9, head_size=9)  # convolutions, not products of matrices
    made = make_config(photos, tmp_path, precision="bfloat16", net=wide)
    phi = vgg.load_vgg16()
    tops = objective.make_terms(made.objective)
    grams = gram_targets(made, tops, phi)
    state, _ = init_state(made)
    batch = {"target": jnp.zeros((4, 32, 32, 3), jnp.uint8)}
    step = jax.vmap(
        make_step(made, tops), (None, 0, None, None), 0, axis_name=engines.AXIS, axis_size=1
    )
    program, (after, metrics) = jax.make_jaxpr(step, return_shape=True)(
        state, {k: v[None] for k, v in batch.items()}, phi, grams
    )
    assert {
        v.dtype
        for v in jax.tree.leaves((after.params, after.stats, after.opt_state[0].mu, metrics))
    } == {jnp.dtype("float32")}
    assert jax.tree.map(lambda a, b: a.dtype == b.dtype, after, state) == jax.tree.map(
        lambda a: True, state
    )
    seen = {
        "conv_general_dilated": set(),
        "dot_general": set(),
        "rsqrt": set(),
        "reduce_sum": set(),
    }
    for equation in equations(program.jaxpr):
        if equation.primitive.name in seen:
            seen[equation.primitive.name] |= {str(v.aval.dtype) for v in equation.invars}
    assert seen["conv_general_dilated"] == {"bfloat16"}
    assert seen["dot_general"] == seen["rsqrt"] == {"float32"}
