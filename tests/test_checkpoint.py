"""Checkpoints alone, with a state of two arrays: what is kept, damaged files, a full disk."""

import dataclasses
import errno
import logging
import os
import resource
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxpercept import config
from jaxpercept.errors import InputError
from jaxpercept.training.checkpoint import KEEP, Checkpoints
from jaxpercept.training.start import init_state


def state(step, size=3):
    random = np.random.default_rng(step)
    return {"step": np.array(step, np.int32), "kernel": random.random((size, 4), np.float32)}


def save(folder, *steps, size=3):
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step, size), {"seen": step})


def restore(folder, size=3):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore(state(0, size))


def cut(folder, step):
    parts = [p for p in (folder / str(step) / "state").rglob("*") if p.is_file()]
    assert parts
    for part in parts:
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])


def test_the_newest_comes_back_and_the_last_few_stay(tmp_path):
    assert restore(tmp_path / "none") is None
    save(tmp_path, *range(1, KEEP + 3))
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps == [3, 4, 5]
        found, about = checkpoints.restore(state(0))
    assert about == {"seen": 5}
    assert found["step"] == 5
    np.testing.assert_array_equal(found["kernel"], state(5)["kernel"])


@pytest.mark.parametrize("name", ["wave [final]", "a*b?", "a\\b", os.fsdecode(b"caf\xe9")])
def test_folders_of_any_name(name, tmp_path, monkeypatch):
    """Orbax takes some for patterns, saves, and then finds nothing."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    save(tmp_path / name / "checkpoints", 1)
    found, about = restore(tmp_path / name / "checkpoints")
    assert (found["step"], about) == (1, {"seen": 1})
    assert [path.name for path in (tmp_path / name).iterdir()] == ["checkpoints"]
    assert os.listdir(tmp_path / "temporary") == []


def test_a_step_that_is_saved_stays_as_it_is(tmp_path):
    save(tmp_path, 1)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state(2), {"seen": 2})
    assert restore(tmp_path)[1] == {"seen": 1}


def test_a_damaged_one_is_named_and_gives_way_to_the_one_before(tmp_path, caplog):
    save(tmp_path, 1, 2)
    cut(tmp_path, 2)
    with caplog.at_level(logging.WARNING):
        found, about = restore(tmp_path)
    assert "checkpoint 2 is damaged" in caplog.text
    assert about == {"seen": 1}
    np.testing.assert_array_equal(found["kernel"], state(1)["kernel"])
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps == [1]  # its step can be saved again


@pytest.mark.parametrize("keep", [0, 40])
def test_one_without_its_metadata_gives_way_to_the_one_before(tmp_path, caplog, keep):
    """A power loss leaves files empty or cut."""
    save(tmp_path, 1, 2)
    for file in (tmp_path / "2").rglob("*"):
        if "METADATA" in file.name.upper() or "metadata" in file.parts[-2]:
            file.write_bytes(file.read_bytes()[:keep])
    with caplog.at_level(logging.WARNING):
        found, about = restore(tmp_path)
    assert "checkpoint 2 is damaged" in caplog.text
    assert about == {"seen": 1}
    np.testing.assert_array_equal(found["kernel"], state(1)["kernel"])


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_every_number_of_a_training_comes_back(tmp_path, optimizer):
    """Muon's state is a different tree from Adam's, with empty places."""
    net = dataclasses.replace(config.NET_PRESETS["paper"].scaled(0.1), blocks=1)
    fresh, _ = init_state(config.TrainConfig(data=("photos",), net=net, optimizer=optimizer))
    random = np.random.default_rng(0)
    filled = jax.tree.map(lambda x: np.asarray(99 * random.random(x.shape), x.dtype), fresh)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, filled, {"seen": 1})
    with Checkpoints(tmp_path) as checkpoints:
        found, _ = checkpoints.restore(fresh)
    assert jax.tree.structure(found) == jax.tree.structure(filled)
    jax.tree.map(np.testing.assert_array_equal, found, filled)


def test_when_none_can_be_read_all_are_left_alone(tmp_path):
    save(tmp_path, 1, 2)
    for step in (1, 2):
        cut(tmp_path, step)
    with pytest.raises(InputError, match=r"no checkpoint in it can be read \(2: .+\)"):
        restore(tmp_path)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps == [1, 2]


@pytest.fixture
def files_of_100_kb():
    """Limits the size of files, which stands for a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_error_and_the_one_before_is_good(tmp_path, request):
    size = 60_000  # a megabyte
    save(tmp_path, 1, size=size)
    request.getfixturevalue("files_of_100_kb")
    expected = (
        "checkpoint 2 could not be saved (File too large); the previous checkpoint, 1, is good"
    )
    with pytest.raises(InputError) as raised:
        save(tmp_path, 2, size=size)
    assert expected in str(raised.value)
    found, about = restore(tmp_path, size)
    assert about == {"seen": 1}
    np.testing.assert_array_equal(found["kernel"], state(1, size)["kernel"])


def test_what_the_threads_of_a_failed_save_report_later_is_silent(
    tmp_path, monkeypatch, caplog, files_of_100_kb
):
    passed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: passed.append(found.exc_value))
    with pytest.raises(InputError) as raised:
        save(tmp_path, 1, size=60_000)
    found, log = raised.value.__cause__, logging.getLogger("asyncio")
    closed, other = RuntimeError("Event loop is closed"), RuntimeError("another")
    for error in (closed, other):
        sys.unraisablehook(SimpleNamespace(exc_type=RuntimeError, exc_value=error))
    assert closed not in passed
    assert other in passed
    for error in (found, closed):  # the second is of another's task
        log.error("Task exception was never retrieved", exc_info=error)
    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert found not in logged
    assert closed in logged


def test_a_folder_that_cannot_be_written_leaves_no_thread(tmp_path, monkeypatch):
    """Orbax's threads would wait for the new folder for five minutes, and print tracebacks."""
    save(tmp_path, 1)
    mkdir, start = os.mkdir, threading.Thread.start
    started = [threading.current_thread()]  # and those which it starts, not other tests' late ones

    def refused(path, *args, **kwargs):
        if tmp_path in Path(path).parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return mkdir(path, *args, **kwargs)

    def recorded(thread):
        if threading.current_thread() in started:
            started.append(thread)
        start(thread)

    monkeypatch.setattr(os, "mkdir", refused)
    monkeypatch.setattr(threading.Thread, "start", recorded)
    with pytest.raises(InputError, match=r"checkpoint 2 could not be saved \(Permission denied\)"):
        save(tmp_path, 2)
    assert len(started) > 1  # Orbax reads the folder with threads
    waiting = [thread for thread in started[1:] if not thread.daemon]
    for thread in waiting:
        thread.join(60)  # the last one ends a moment after its work, not after five minutes
    assert not [thread for thread in waiting if thread.is_alive()]


def test_metadata_that_lacks_what_a_run_saves_gives_way_too(tmp_path):
    save(tmp_path, 1, 2)

    def check(about):
        if about["seen"] == 2:
            raise KeyError("config")

    with Checkpoints(tmp_path) as checkpoints:
        _, about = checkpoints.restore(state(0), check)
    assert about == {"seen": 1}

    def refuse(about):
        raise InputError("another run")

    with Checkpoints(tmp_path) as checkpoints, pytest.raises(InputError, match="another run"):
        checkpoints.restore(state(0), refuse)
