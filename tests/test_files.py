"""Files are written whole or not at all, links and devices stay, and the next run removes what a
killed process left behind.
"""

import errno
import io
import os
import signal
import stat
import subprocess
import sys
import threading
import tracemalloc

import pytest

from jaxpercept import files
from jaxpercept.errors import InputError

WRITER = """
import sys, time
from jaxpercept import files
with files.replacing(sys.argv[1]) as file, files.scratch(sys.argv[2]) as folder:
    file.write(b"half"); file.flush(); (folder / "part").write_bytes(b"half")
    print("ready", flush=True); time.sleep(60)
"""


def test_a_file_and_its_folders_are_made(tmp_path):
    path = files.write(tmp_path / "a" / "b" / "x.bin", b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["x.bin"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_file_that_is_there_keeps_its_permissions(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o600)
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    path = files.write(tmp_path / ("é" * 125 + ".jpeg"), b"x")
    assert len(os.fsencode(path.name)) == 255
    with pytest.raises(InputError, match=r"too long\); give a shorter name"):
        files.write(tmp_path / ("n" * 256), b"x")


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_kept_and_its_target_replaced(tmp_path, there):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "target", tmp_path / "link"
    if there:
        target.write_text("old")
    link.symlink_to("far/target")
    files.write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path / "far") == ["target"]


def test_a_fifo_is_written_and_stays(tmp_path):
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    files.write(fifo, b"through")
    reader.join()
    assert got == [b"through"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_device_is_written_and_stays(tmp_path):
    link = tmp_path / "null"
    link.symlink_to(os.devnull)
    for path in (os.devnull, link):
        files.write(path, b"gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert link.is_symlink()
    assert os.listdir(tmp_path) == ["null"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is full")
def test_a_full_disk_says_make_room():
    with pytest.raises(InputError, match=r"/dev/full: cannot be written \(No space .*; make room"):
        files.write("/dev/full", b"x")


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EACCES, "choose another place"),
        (errno.EROFS, "choose another place"),
        (errno.EIO, "check the disk"),
        (errno.ENOTDIR, "a part of the path is a file, not a folder; give another path"),
        (errno.EMFILE, "check the path and the disk"),
    ],
)
def test_the_fix_fits_the_cause_and_the_old_file_stays(tmp_path, monkeypatch, number, fix):
    path = files.write(tmp_path / "x", b"old")

    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError) as error:
        files.write(path, b"new")
    assert str(error.value) == f"{path}: cannot be written ({os.strerror(number)}); {fix}"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("wrong", ["file/x", "folder", "loop"])
def test_what_cannot_be_written(tmp_path, wrong):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError, match=f"{wrong}: cannot be written"):
        files.write(tmp_path / wrong, b"x")
    assert sorted(os.listdir(tmp_path)) == before


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    def interrupted():
        with files.replacing(tmp_path / "x") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    (tmp_path / ".jaxpercept-notes").write_text("not a temporary file of ours")
    command = [sys.executable, "-c", WRITER, str(tmp_path / "x"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            assert len(os.listdir(tmp_path)) == 3
            assert files.remove_stale(tmp_path) == []  # the process lives
            assert len(os.listdir(tmp_path)) == 3
        finally:
            process.send_signal(signal.SIGKILL)
    files.write(tmp_path / "y", b"the next run")
    assert sorted(os.listdir(tmp_path)) == [".jaxpercept-notes", "y"]


def test_only_a_regular_file_will_do(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("")
    assert files.regular(tmp_path / "file", "a weights file") == tmp_path / "file"
    for path, reason in (
        (tmp_path / "fifo", "is a FIFO (pipe), not a file"),
        (tmp_path, "is a folder, not a file"),
        (os.devnull, "is a device, not a file"),
        (tmp_path / "none", "no such file"),
    ):
        with pytest.raises(InputError) as error:
            files.regular(path, "a weights file")
        assert str(error.value) == f"{path}: {reason}; give the path of a weights file"


def test_reading_takes_memory_for_what_is_there_not_for_what_is_allowed(tmp_path):
    (tmp_path / "small").write_bytes(bytes(1000))
    tracemalloc.start()
    try:
        with open(tmp_path / "small", "rb") as file:
            assert files.at_most(file, 1 << 30) == bytes(1000)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    endless = io.BytesIO(bytes(5 << 20))
    assert 2 << 20 < len(files.at_most(endless, 2 << 20)) < 5 << 20
