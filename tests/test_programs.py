"""Compiled nets that a second process takes from the user's cache without tracing."""

import os
import shutil
import subprocess
import sys
import threading

import jax
import pytest
from helpers import save_style
from quick import FLAGS
from test_imports import graph

from jaxpercept.files import kept
from jaxpercept.inference import programs
from jaxpercept.runtime import compilation_cache

RUN = """
import hashlib, sys
import jax, numpy as np
from jaxpercept.inference.model import load_model
from jaxpercept.runtime import compilation_cache
compilation_cache.enable()
model = load_model(sys.argv[1])
x = np.random.default_rng(0).random((1, 16, 24, 3), np.float32)
y = np.asarray(model(x))
print(hashlib.sha256(y.tobytes()).hexdigest(), "flax" in sys.modules)
assert jax.eval_shape(jax.grad(lambda x: model(x).sum()), x).shape == x.shape  # traced, as by users
"""


@pytest.fixture
def process(root):
    """Runs code in a process with one device, and returns what it prints."""
    variables = os.environ | {"XLA_FLAGS": FLAGS}

    def process(code, cache, argument):
        done = subprocess.run(
            [sys.executable, "-c", code, argument],
            env=variables | {"JAXPERCEPT_CACHE": str(cache), "PYTHONPATH": str(root)},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return process


@pytest.fixture
def run(process, tmp_path):
    """Runs a net. Returns its result's hash, and whether the net was traced."""
    net = save_style(tmp_path / "net.safetensors")

    def run(cache):
        result, traced = process(RUN, cache, net).split()
        return result, traced == "True"

    return run


def test_a_second_process_neither_traces_nor_imports_flax(run, tmp_path):
    cache = tmp_path / "cache"
    result, traced = run(cache)
    assert traced
    assert run(cache) == (result, False)
    (program,) = (cache / "programs").iterdir()
    program.write_bytes(program.read_bytes()[:-100])
    assert run(cache) == (result, True)
    assert kept.read(program)  # it was made again


def test_a_program_that_jax_cannot_read_is_made_again(run, tmp_path):
    cache = tmp_path / "cache"
    result, _ = run(cache)
    (program,) = (cache / "programs").iterdir()
    kept.keep(program, b"another format", 1)
    assert run(cache) == (result, True)
    assert run("off") == (result, True)


TWICE = """
import sys
import jax, numpy as np
from jaxpercept.inference import programs
from jaxpercept.runtime import compilation_cache
compilation_cache.enable()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
function = jax.jit(lambda x: jax.numpy.tanh(x[:, None] * 2 + x).sum(1) * x.mean())
x = np.ones(50, np.float32)
plain = sys.argv[1] == "plain" and function(x)
program = programs.Program(function, "net")
print(float(np.sum(program(x))))
with jax.disable_jit():
    assert np.allclose(program(x), function(x))
"""


def test_what_jaxs_own_cache_holds_is_compiled_again(process, tmp_path):
    """jax serializes a program of its cache without some of its functions: it loads, and fails."""
    cache = tmp_path / "cache"
    plain = process(TWICE, cache, "plain")
    assert any(cache.glob("jit_*"))
    shutil.rmtree(cache / "programs")
    assert process(TWICE, cache, "kept") == process(TWICE, cache, "loaded") == plain


def test_threads_that_compile_past_jaxs_cache_wait_for_one_another():
    """Otherwise one turns the cache on while the other compiles, or leaves it off for good."""
    before = jax.config.values[compilation_cache.SWITCH]
    inside, leave = threading.Event(), threading.Event()

    def other():
        with compilation_cache.unused():
            inside.set()
            leave.wait(10)

    with compilation_cache.unused():
        thread = threading.Thread(target=other)
        thread.start()
        assert not inside.wait(0.1)
    assert inside.wait(10)
    assert jax.config.values[compilation_cache.SWITCH] is False
    leave.set()
    thread.join()
    assert jax.config.values[compilation_cache.SWITCH] is before


def test_what_was_used_last_is_kept(tmp_path):
    paths = [tmp_path / f"{i}{kept.SUFFIX}" for i in range(4)]
    for i, path in enumerate(paths[:3]):
        kept.keep(path, b"data", 3)
        os.utime(path, (i, i))
    assert kept.read(paths[0]) == b"data"
    kept.keep(paths[3], b"data", 3)
    assert [path.exists() for path in paths] == [True, False, True, True]


def test_all_that_decides_a_net_is_part_of_its_programs_name(root, monkeypatch):
    hashed = tuple(s.removesuffix(".py").replace("/", ".") for s in programs.SOURCES)
    # These compute nothing in a net.
    others = ("errors", "files", "images", "inference", "runtime")

    def inside(name, places):
        return any(name == place or name.startswith(f"{place}.") for place in places)

    for name, found in graph(root).items():
        if inside(name, hashed):
            assert all(inside(i, (*hashed, *others)) for i in found), name
    before = programs._key("net")
    assert programs._key("net") == before
    assert programs._key("another") != before
    with compilation_cache.unused():
        assert programs._key("net") == before
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1}, raising=False)
    programs._processor.cache_clear()
    on_one_core = programs._key("net")
    monkeypatch.undo()
    programs._processor.cache_clear()
    assert (on_one_core == before) == (programs._processor()[1] == "1")
    monkeypatch.setenv("XLA_FLAGS", "--another")
    assert programs._key("net") != before
