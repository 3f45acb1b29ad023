"""A film that was stopped goes on from its finished segments, and becomes the same file."""

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
from film_files import TIMES, film, pictures, sound, times
from helpers import save_style, status

from jaxpercept import config
from jaxpercept.cli import upscale_films
from jaxpercept.errors import InputError
from jaxpercept.files import parts, temporary
from jaxpercept.images.frames import Cut
from jaxpercept.inference import film_frames, films, muxing, segments
from jaxpercept.inference.file_jobs import Job
from jaxpercept.inference.flow import Task
from jaxpercept.inference.model import load_model
from jaxpercept.inference.treatment import Treatment
from jaxpercept.nets import net_file, transform_net

av = pytest.importorskip("av", reason="needs the extra `video`")
COUNT = 11
VARYING = [40 * i + 13 * (i % 3) + 200 * (i > 5) for i in range(COUNT)]  # milliseconds


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_style(tmp_path_factory.mktemp("net") / "one.safetensors", 0.1)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(segments, "LENGTH", 4)


class Stopping:
    """A net that counts its frames, and raises `error` before frame `at`."""

    def __init__(self, weights, at=None, error=None):
        self.in_jax = load_model(weights)
        self.name, self.config, self.at, self.error = "one", self.in_jax.config, at, error
        self.seen = 0

    def __call__(self, x):
        if self.seen == self.at:
            raise self.error
        self.seen += len(x)
        return self.in_jax(x)


def made(source, target, net, **making):
    job = Job(1)
    making = film_frames.Making(batch=1, **making)
    films.process([Task(source, source.name, target)], Treatment(), net, job, making)
    return job


def photos():
    # where a row is not a multiple of 8 macroblocks, x264 itself is not deterministic
    return pictures(COUNT, 48, 128)


def packets(path):
    """Returns everything in a film's streams, in the order of the file."""
    with av.open(str(path)) as container:
        return [
            (p.stream.type, p.pts, p.dts, p.duration, p.is_keyframe, bytes(p))
            for p in container.demux()
        ]


def hidden(folder):
    return [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("b.mp4", {"still": True}),
        ("b.mkv", {"smooth": 0.7, "compare": True}),
        ("b.mp4", {"smooth": 0.5, "steady": 0.8}),
        ("b.mp4", {"cut": Cut(start=Fraction(53, 1000), fps=Fraction(20))}),
    ],
)
def test_a_stopped_film_becomes_the_same_file(weights, tmp_path, name, how):
    if "smooth" in how:
        pytest.importorskip("cv2", reason="needs the extra `video`")
    source = film(av, tmp_path / "a.mp4", frames=photos(), times=VARYING, sound="aac")
    whole, target = tmp_path / "whole" / name, tmp_path / "b" / name
    assert not made(source, whole, Stopping(weights), **how).failed
    assert not hidden(whole.parent)
    with pytest.raises(KeyboardInterrupt):
        made(source, target, Stopping(weights, 6, KeyboardInterrupt()), **how)
    assert not target.exists()
    (folder,) = hidden(target.parent)
    assert [path.name for path in folder.iterdir()] == ["000000"]
    net = Stopping(weights)
    said = []
    job = Job(1, said.append)
    making = film_frames.Making(batch=1, **how)
    films.process([Task(source, "a.mp4", target)], Treatment(), net, job, making)
    assert said[0] == "a.mp4: goes on after 4 frames of a stopped run"
    found = times(av, target)
    assert net.seen == len(found) - 4
    assert packets(target) == packets(whole)
    if how.get("still"):
        assert found == VARYING
        assert sound(av, target) == sound(av, source)
        sheets = [path.with_name(f"{path.stem}_stills.jpg") for path in (target, whole)]
        assert sheets[0].read_bytes() == sheets[1].read_bytes()
    assert not hidden(target.parent)


def test_segments_differ_little_from_one_encoder(weights, tmp_path, monkeypatch):
    """A segment begins with a key frame, and nothing else changes."""
    source = film(av, tmp_path / "a.mp4", frames=photos(), times=VARYING)
    made(source, tmp_path / "b.mp4", Stopping(weights))
    monkeypatch.setattr(segments, "LENGTH", 100)
    made(source, tmp_path / "c.mp4", Stopping(weights))
    several, one = (list(films.open_film(tmp_path / f"{n}.mp4").frames) for n in "bc")
    assert [f.start for f in several] == [f.start for f in one]
    for x, y in zip(several, one, strict=True):
        assert np.abs(x.pixels.astype(int) - y.pixels).mean() < 6
    with av.open(str(tmp_path / "b.mp4")) as container:
        keys = [i for i, f in enumerate(container.decode(video=0)) if f.key_frame]
    assert keys == [0, 4, 8]


def test_other_settings_and_other_films_begin_anew(weights, tmp_path):
    source = film(av, tmp_path / "a.mp4", frames=photos(), times=VARYING)
    target = tmp_path / "b" / "b.mp4"

    def stopped(**how):
        with pytest.raises(KeyboardInterrupt):
            made(source, target, Stopping(weights, 6, KeyboardInterrupt()), **how)

    stopped()
    stopped(compare=True)
    assert len(hidden(target.parent)) == 2
    os.utime(source, (1, 1))  # another film
    stopped()
    assert len(hidden(target.parent)) == 3
    other = save_style(tmp_path / "other.safetensors", 0.2)
    net = Stopping(other)
    made(source, target, net)
    assert net.seen == COUNT
    assert not hidden(target.parent)  # the file is complete, and nobody needs the others


def test_damaged_parts_are_made_again(weights, tmp_path):
    source = film(av, tmp_path / "a.mp4", frames=photos(), times=VARYING)
    target = tmp_path / "b" / "b.mp4"
    with pytest.raises(KeyboardInterrupt):
        made(source, target, Stopping(weights, 10, KeyboardInterrupt()))
    (folder,) = hidden(target.parent)
    second = max(folder.iterdir())
    second.write_bytes(second.read_bytes()[:-50])
    net = Stopping(weights)
    assert not made(source, target, net).failed
    assert net.seen == COUNT - 4
    assert times(av, target) == VARYING


def test_a_full_disk_keeps_what_is_finished(weights, tmp_path, monkeypatch):
    source = film(av, tmp_path / "a.mp4", frames=photos(), times=VARYING)
    target, sync, calls = tmp_path / "b" / "b.mp4", os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        job = made(source, target, Stopping(weights))
    assert job.failed[0].startswith(f"{target}: cannot be written (No space left on device)")
    assert job.failed[0].endswith("goes on from the parts that are finished")
    (folder,) = hidden(target.parent)
    assert [path.name for path in folder.iterdir()] == ["000000"]
    assert not made(source, target, Stopping(weights)).failed
    assert times(av, target) == VARYING


def test_a_disk_that_fills_while_segments_are_joined_keeps_them(weights, tmp_path, monkeypatch):
    source = film(av, tmp_path / "a.mp4", frames=photos(), times=VARYING)
    target = tmp_path / "b" / "b.mp4"

    def full(packets, packet):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(muxing._Picture, "add", full)
        job = made(source, target, Stopping(weights))
    (line,) = job.failed
    assert line.startswith(f"{target}: cannot be written (No space left on device)")
    assert line.endswith("goes on from the parts that are finished")
    (folder,) = hidden(target.parent)
    assert len(list(folder.iterdir())) == 2
    net = Stopping(weights)
    assert not made(source, target, net).failed
    assert net.seen == COUNT - 8
    assert times(av, target) == VARYING


class Enlarger(Stopping):
    """A super-resolution net that stops, as `upscale` gives it to films."""

    def __init__(self, path, at=None, error=None):
        super().__init__(path, at, error)
        self.name = self.in_jax.name


def test_a_stopped_enlargement_becomes_the_same_file(tmp_path, monkeypatch, capsys):
    """By the command, which is given again as it was."""
    tiny = dataclasses.replace(config.superres_net(2), stem=4, blocks=1)
    weights = tmp_path / "x2.safetensors"
    net_file.save(weights, tiny, *transform_net.init(tiny), {"task": "superres"})
    source = film(av, tmp_path / "a.mp4", frames=photos(), times=VARYING)
    whole, target = tmp_path / "whole.mp4", tmp_path / "b" / "b.mp4"
    line = ["upscale", source, "--model", weights, "-o"]
    nets = []

    def given(*net):
        nets.append(Enlarger(*net))
        monkeypatch.setattr(upscale_films, "chosen_net", lambda *_: nets[-1])

    given(weights)
    assert status(*line, whole) == 0
    given(weights, 8, KeyboardInterrupt())  # it sees four frames at once
    assert status(*line, target) == 130
    assert not target.exists()
    (folder,) = hidden(target.parent)
    assert len(list(folder.iterdir())) == 2
    given(weights)
    assert status(*line, target) == 0
    assert "goes on after 8 frames of a stopped run" in capsys.readouterr().err
    assert nets[-1].seen < nets[0].seen
    assert packets(target) == packets(whole)
    assert not hidden(target.parent)


def test_a_film_at_fault_leaves_nothing(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(film_frames, "PIXELS", 1)  # read no more frames ahead than must be
    monkeypatch.setattr(segments, "LENGTH", 2)
    first = film(av, tmp_path / "a.ts")
    later = [400 + time for time in TIMES]
    second = film(av, tmp_path / "b.ts", frames=pictures(6, 64, 96), times=later)
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    job = made(both, tmp_path / "out" / "o.mp4", Stopping(weights))
    assert "its size changes from 64x48 to 96x64" in job.failed[0]
    assert not list((tmp_path / "out").iterdir())


def test_parts_in_use_are_left_alone_and_old_ones_go(tmp_path):
    target = tmp_path / "x.mp4"
    first = parts.Parts(target, "key")
    first.add(b"one")
    with pytest.raises(InputError, match="another process makes this file"):
        parts.Parts(target, "key")
    with parts.Parts(target, "other") as other:
        other.add(b"two")
    assert not other.folder.exists()
    first.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert first.folder.exists()
    assert temporary.remove_stale(tmp_path) == []
    week_ago = time.time() - temporary.KEPT - 60
    os.utime(first.folder, (week_ago, week_ago))
    assert temporary.remove_stale(tmp_path) == [first.folder]


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import test_resume_film as t
from pathlib import Path
t.segments.LENGTH = 4
class Killed(t.Stopping):
    def __call__(self, x):
        if self.seen == 6:
            os.kill(os.getpid(), signal.{signal})
        return super().__call__(x)
from jaxpercept.runtime import stopping
with stopping.interrupts():
    t.made(Path(sys.argv[1]), Path(sys.argv[2]), Killed(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_a_killed_process_leaves_its_segments(weights, tmp_path, root, number):
    source = film(av, tmp_path / "a.mp4", frames=photos(), times=VARYING)
    whole, target = tmp_path / "whole.mp4", tmp_path / "b" / "b.mp4"
    made(source, whole, Stopping(weights))
    code = KILLED.format(tests=str(root / "tests"), signal=number)
    words = [sys.executable, "-c", code, str(source), str(target), str(weights)]
    ended = subprocess.run(words, capture_output=True, cwd=root)
    assert ended.returncode == (-signal.SIGKILL if number == "SIGKILL" else 1), ended.stderr
    assert not target.exists()
    net = Stopping(weights)
    made(source, target, net)
    assert net.seen == COUNT - 4
    assert packets(target) == packets(whole)
    assert not hidden(target.parent)
