"""The tests' own cache of compiled programs: what is kept, what is not, and that it cannot fail a
test.
"""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import session_cache
from jax.experimental.compilation_cache import compilation_cache


@pytest.fixture
def kept(tmp_path):
    """Makes programs of two versions of jax, one of them long unused."""
    for name in ("new/a-cache", "new/b-cache", "old/c-cache"):
        path = tmp_path / "kept" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    then = time.time() - (session_cache.KEPT_DAYS + 1) * 86400
    os.utime(tmp_path / "kept" / "old" / "c-cache", (then, then))
    os.utime(tmp_path / "kept" / "new" / "b-cache", (then + 2 * 86400, then + 2 * 86400))
    return tmp_path / "kept" / "new"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_session_sees_what_is_kept_and_adds_to_it(kept, tmp_path):
    session = tmp_path / "session"
    session.mkdir()
    before = (kept / "b-cache").stat().st_mtime
    session_cache.begin(kept, session)
    assert names(kept.parent) == ["new"]  # long unused programs are gone
    assert (session / "a-cache").read_bytes() == b"new/a-cache"
    (session / "b-atime").write_bytes(time.time_ns().to_bytes(8, "little"))  # as jax reads it
    (session / "d-cache").write_bytes(b"compiled")
    assert names(kept) == ["a-cache", "b-cache"]  # a session that is killed adds nothing
    session_cache.end(kept, session)
    assert names(kept) == ["a-cache", "b-cache", "d-cache"]
    assert (kept / "d-cache").read_bytes() == b"compiled"
    assert (kept / "b-cache").stat().st_mtime > before + 86400


def test_what_cannot_be_kept_fails_nothing(tmp_path):
    session, blocked = tmp_path / "session", tmp_path / "file"
    session.mkdir()
    (session / "d-cache").write_bytes(b"compiled")
    blocked.write_bytes(b"")
    session_cache.begin(blocked / "kept", session)
    session_cache.end(blocked / "kept", session)
    assert blocked.read_bytes() == b""


def test_the_folder_depends_on_the_processor(monkeypatch):
    here = session_cache.kept_folder()
    monkeypatch.setattr(session_cache, "_features", lambda: "avx1024")
    assert session_cache.kept_folder().parent == here.parent
    assert session_cache.kept_folder() != here


def use(folder):
    jax.config.update("jax_compilation_cache_dir", folder and str(folder))
    compilation_cache.reset_cache()


@pytest.fixture
def two_folders(tmp_path):
    """The first folder is jax's cache, with every program in it."""
    before = jax.config.values["jax_compilation_cache_dir"]
    seconds = jax.config.values["jax_persistent_cache_min_compile_time_secs"]
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    folders = tmp_path / "kept" / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir(parents=True)
    use(folders[0])
    yield folders
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
    use(before)


def compiled():
    def program(x):
        return jnp.sin(x) * 3 + x

    return np.asarray(jax.jit(program)(np.arange(4, dtype=np.float32)))


def entries(folder):
    return [n for n in names(folder) if n.endswith(session_cache.ENTRY)]


def test_the_next_session_finds_a_program_in_its_own_folder(two_folders):
    one, two = two_folders
    compiled()
    session_cache.begin(one, two)
    use(two)
    compiled()
    assert entries(two) == entries(one) != []
    (used,) = two.glob(f"jit_program*{session_cache.USED}")
    assert used.read_bytes() != session_cache.NEVER


def test_a_cut_program_is_compiled_again(two_folders):
    expected = compiled()
    (entry,) = two_folders[0].glob(f"jit_program*{session_cache.ENTRY}")
    entry.write_bytes(entry.read_bytes()[:100])
    np.testing.assert_array_equal(compiled(), expected)
