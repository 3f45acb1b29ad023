"""Style nets on many files: what is read ahead and written later, and what a stop leaves."""

import gc
import os
import struct
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import noise, save_style
from PIL import Image
from quick import FLAGS

from jaxpercept import images
from jaxpercept.inference import file_jobs, treatment
from jaxpercept.inference.flow import Task, process
from jaxpercept.inference.model import PROGRAMS, Model, load_model
from jaxpercept.inference.model import _compiled as compiled
from jaxpercept.inference.treatment import Treatment


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(save_style(tmp_path_factory.mktemp("net") / "tiny.safetensors"))


def stylize_files(paths, models, name, progress=lambda line: None, batch_size=4, **options):
    """Processes files as `stylize` does; `name` gives their targets."""
    skip = options.pop("skip_existing", False)
    job = file_jobs.Job(len(paths) * len(models), progress)
    for net in models:
        tasks = [Task(path, str(path), name(path, net.name)) for path in paths]
        how = Treatment(grain=0.0, **options)
        process(tasks, how, net, job, batch_size=batch_size, skip_existing=skip)
    return job


@pytest.fixture
def folder(tmp_path):
    """Makes nine photos of two sizes."""
    sizes = [(32, 40), (40, 32)]
    return [
        images.save_image(tmp_path / "in" / f"{i}.png", noise(i, *sizes[i % 2])) for i in range(9)
    ]


def test_files_in_files_out(model, tmp_path):
    paths = []
    for i, size in enumerate([(20, 25), (33, 18)]):
        paths.append(images.save_image(tmp_path / f"{i}.png", noise(i, *size)))
    (tmp_path / "broken.jpg").write_bytes(b"not a jpeg")
    small = images.save_image(tmp_path / "small.png", noise(9, 15, 40))
    job = stylize_files(
        [paths[0], tmp_path / "broken.jpg", small, paths[1]],
        [model, model],
        lambda p, s: tmp_path / "out" / p.name,
    )
    assert [images.load_image(tmp_path / "out" / p.name).shape for p in paths] == [
        (20, 25, 3),
        (33, 18, 3),
    ]
    assert len(job.written) == 4
    assert len(job.failed) == 2
    assert "broken.jpg" in job.failed[0]
    assert "40x15 is too small; give at least 16 pixels" in job.failed[1]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.png", "1.png"]


def test_size_scales_the_longer_side_first(model, tmp_path):
    path = images.save_image(tmp_path / "a.png", noise(0, 60, 90))
    stylize_files([path], [model], lambda p, s: tmp_path / "out.png", size=45)
    assert images.load_image(tmp_path / "out.png").shape == (30, 45, 3)


def test_every_file_equals_its_single_run(model, folder, tmp_path):
    job = stylize_files(folder, [model], lambda p, s: tmp_path / "out" / p.name, batch_size=2)
    assert sorted(p.name for p in job.written) == [p.name for p in folder]
    for path in folder:
        alone = images.to_uint8(np.asarray(model(images.load_image(path)[None]))[0])
        assert (
            np.abs(images.load_uint8(tmp_path / "out" / path.name).astype(int) - alone).max() <= 1
        )


def test_a_stop_leaves_whole_files_and_the_rest_can_follow(model, folder, tmp_path, monkeypatch):
    plain, calls = Model.__call__, []

    def stopped(self, x):
        calls.append(len(x))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(self, x)

    def run(**options):
        return stylize_files(
            folder, [model], lambda p, s: tmp_path / "out" / p.name, batch_size=2, **options
        )

    monkeypatch.setattr(Model, "__call__", stopped)
    with pytest.raises(KeyboardInterrupt):
        run()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    assert all(images.load_image(p).shape[2] == 3 for p in before)  # also: no temporary file
    assert len(before) < 9
    monkeypatch.setattr(Model, "__call__", plain)
    said = []
    job = run(skip_existing=True, progress=said.append)
    assert len(job.skipped) == len(before)
    assert len(job.written) == 9 - len(before)
    assert said[-1].startswith("[9/9]")
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_file_that_cannot_be_written_fails_alone(model, folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "3.png").mkdir()
    job = stylize_files(folder, [model], lambda p, s: tmp_path / "out" / p.name)
    assert len(job.written) == 8
    assert "3.png: cannot be written" in job.failed[0]


def test_a_small_file_of_many_pixels_does_not_stop_the_rest(model, tmp_path):
    """48 bytes that decode to 10,000x10,000."""
    gif = b"GIF89a" + struct.pack("<HH", 10_000, 10_000) + b"\xf0\0\0" + b"\0\0\0\xff\xff\xff"
    gif += b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0;"
    paths = [images.save_image(tmp_path / f"{i}.png", noise(i, 32, 40)) for i in range(2)]
    bomb = tmp_path / "bomb.gif"
    bomb.write_bytes(gif)
    how = {"max_pixels": 40_000_000}
    job = stylize_files(
        [paths[0], bomb, paths[1]], [model], lambda p, s: tmp_path / "out" / f"{p.stem}.png", **how
    )
    assert [p.name for p in job.written] == ["0.png", "1.png"]
    (line,) = job.failed
    assert "bomb.gif: 10000x10000 is 100,000,000 pixels, more than" in line


@pytest.mark.parametrize("where", ["reading", "the net", "writing"])
def test_what_does_not_fit_into_memory_fails_alone(model, tmp_path, monkeypatch, where):
    def of_size(x):
        return 48 in np.shape(x)

    plain_read, plain_call, plain_encode = treatment.read, Model.__call__, Image.Image.save

    def read(how, net, source, *given, **options):
        if where == "reading" and Path(source).name == "1.png":
            raise MemoryError
        return plain_read(how, net, source, *given, **options)

    def call(self, x):
        if where == "the net" and of_size(x):
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
        return plain_call(self, x)

    def encode(image, *given, **options):
        if where == "writing" and 48 in image.size:
            raise MemoryError
        return plain_encode(image, *given, **options)

    paths = [
        images.save_image(tmp_path / f"{i}.png", noise(i, 32, (40, 48, 40)[i])) for i in range(3)
    ]
    monkeypatch.setattr(treatment, "read", read)
    monkeypatch.setattr(Model, "__call__", call)
    monkeypatch.setattr(Image.Image, "save", encode)
    job = stylize_files(paths, [model], lambda p, s: tmp_path / "out" / p.name)
    assert [p.name for p in job.written] == ["0.png", "2.png"]
    (line,) = job.failed
    assert "1.png: " in line
    assert "too large for memory" in line


def test_only_the_programs_of_the_last_sizes_are_kept(model, monkeypatch):
    """`jax.jit` keeps every program it has compiled; ours are dropped, the oldest first."""
    kept = lru_cache(maxsize=2)(compiled.__wrapped__)
    monkeypatch.setattr("jaxpercept.inference.model._compiled", kept)
    programs = []
    for width in (16, 20, 16, 24):
        model(np.zeros((1, 16, width, 3), np.float32))
        programs.append(weakref.ref(kept(model.config, model.dtype, (1, 16, width, 3), False)))
    gc.collect()
    assert [program() is not None for program in programs] == [True, False, True, True]
    live = jax.devices()[0].client.live_executables
    before = len(live())
    for width in (28, 32):
        model(np.zeros((1, 16, width, 3), np.float32))
    gc.collect()
    assert len(live()) == before
    assert compiled.cache_info().maxsize == PROGRAMS


MANY_SIZES = """
import dataclasses, resource, sys
import numpy as np
from jaxpercept import config
from jaxpercept.inference.model import Model
from jaxpercept.nets import transform_net
net = config.NET_PRESETS["resize"].scaled(0.5)
model = Model("half", net, *transform_net.init(net), {})
def megabytes():
    status = open("/proc/self/status").read()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024
for count in range(90):
    np.asarray(model(np.zeros((1, 64, 64 + 4 * count, 3), np.float32)))
    if count + 1 in (1, 16, 30, 60, 90):
        print(count + 1, megabytes(), flush=True)
"""


@pytest.mark.slow
def test_memory_of_ninety_sizes():
    """The fast twin is test_only_the_programs_of_the_last_sizes_are_kept."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux's accounts of a process")
    environment = {**os.environ, "JAXPERCEPT_CACHE": "off", "XLA_FLAGS": FLAGS}
    found = subprocess.run(
        [sys.executable, "-c", MANY_SIZES],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    used = dict([int(x) for x in line.split()] for line in found.stdout.splitlines())
    # 10 to 20 MB per size before programs were dropped; about 3.5 are left in jax's own caches
    assert used[90] - used[30] < 60 * 5, used


def test_what_is_begun_ahead_is_bounded_and_in_order():
    running, most, gate = [0], [0], threading.Lock()

    def call(i):
        with gate:
            running[0] += 1
            most[0] = max(most[0], running[0])
        return i

    with ThreadPoolExecutor(4) as pool:
        taken = []
        for key, future in file_jobs.ahead(
            pool, ((i, lambda i=i: call(i), 10) for i in range(20)), limit=35
        ):
            taken.append((key, future.result()))
            with gate:
                running[0] -= 1
        assert taken == [(i, i) for i in range(20)]
        assert most[0] <= 4  # three within the limit, and the one just taken
        assert list(
            file_jobs.ahead(pool, [(0, lambda: 0, 100)], limit=1)
        )  # a file that is too large is done alone


def test_the_writer_waits_when_too_much_is_under_way(tmp_path):
    job = file_jobs.Job(3)
    release = threading.Event()

    def write(name):
        release.wait(10)
        return tmp_path / name

    with ThreadPoolExecutor(1) as pool:
        writer = file_jobs.Writer(pool, job)
        writer.write(lambda: write("a"), file_jobs.PIXELS)
        assert not job.written
        release.set()
        writer.write(lambda: write("b"), file_jobs.PIXELS)  # returns when the first is done
        assert job.written == [tmp_path / "a"]
        writer.finish()
    assert job.written == [tmp_path / "a", tmp_path / "b"]
