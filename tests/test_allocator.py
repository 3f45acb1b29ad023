"""Freed memory stays with the process: taking a large block again costs no page faults."""

import os
import platform
import subprocess
import sys
import types

import pytest

from jaxpercept.runtime import allocator

MEASURE = """
import ctypes, resource
from jaxpercept.runtime import allocator
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
{}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(100 << 20)
    ctypes.memset(block, 1, 100 << 20)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
{}
print(faults())
"""
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")


def page_faults(code, between="pass", **tuned):
    plain = {
        k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES" and not k.startswith("MALLOC_")
    }
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(code, between)],
        env=plain | tuned,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_a_freed_block_is_kept():
    pages = (100 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert (
        page_faults("pass") > pages / 600
    )  # the purpose; huge pages of 2 MiB give fewer faults than pages
    assert page_faults("allocator.keep_freed_memory()") < 20
    assert (
        page_faults("allocator.keep_freed_memory()", "allocator.release()") > pages / 600
    )  # the memory is taken back


def test_a_user_s_own_tuning_stays():
    assert page_faults("allocator.keep_freed_memory()", MALLOC_TOP_PAD_="0") > 20


def started(code, **tuned):
    """Runs a program that calls `use_huge_pages`. Returns its arguments, the setting that glibc
    saw, and the one that the program sees."""
    program = f"""
import os, sys
from jaxpercept.runtime import allocator
{code}
allocator.use_huge_pages()
seen = [v for v in open("/proc/self/environ").read().split(chr(0)) if v.startswith("GLIBC_T")]
print(sys.argv[1:], seen, os.environ.get("GLIBC_TUNABLES"))
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GLIBC_", "MALLOC_"))}
    done = subprocess.run(
        [sys.executable, "-c", program, "a b", "ü"],
        env=environment | tuned,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_training_starts_again_with_huge_pages():
    given = "allocator._has_huge_pages = lambda: True"
    assert started(given) == "['a b', 'ü'] ['GLIBC_TUNABLES=glibc.malloc.hugetlb=1'] None"
    own = "glibc.malloc.arena_max=1"
    assert started(given, GLIBC_TUNABLES=own) == f"['a b', 'ü'] ['GLIBC_TUNABLES={own}'] {own}"
    without = "allocator._has_huge_pages = lambda: False"
    assert started(without) == "['a b', 'ü'] [] None"


def test_a_trimmer_returns_memory_every_ten_seconds(monkeypatch):
    seconds, returned = [0.0], []
    clock = types.SimpleNamespace(monotonic=lambda: seconds[0])
    monkeypatch.setattr(allocator, "time", clock)
    monkeypatch.setattr(allocator, "release", lambda: returned.append(seconds[0]))
    trimmer = allocator.Trimmer()
    for now in (3, 9.9, 10, 10.1, 19, 25, 35):
        seconds[0] = now
        trimmer.step()
    assert returned == [10, 25, 35]
