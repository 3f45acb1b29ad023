"""The folder of compiled programs: the owners that it may have, because its files are executed
unchecked, and what is removed from it.
"""

import os
import time
import types

import pytest

from jaxpercept.runtime import compilation_cache


@pytest.fixture
def enabled(monkeypatch, capsys):
    """Enables the cache with a folder. Returns the folder that jax then uses, and the printed
    lines."""

    def enable(folder):
        used = {}
        monkeypatch.setenv("JAXPERCEPT_CACHE", str(folder))
        values = {"jax_compilation_cache_dir": None}
        config = types.SimpleNamespace(values=values, update=used.__setitem__)
        monkeypatch.setattr(compilation_cache, "_enabled", None)
        monkeypatch.setattr(compilation_cache, "jax", types.SimpleNamespace(config=config))
        compilation_cache.enable()
        monkeypatch.undo()
        return used.get("jax_compilation_cache_dir"), capsys.readouterr().err

    return enable


def test_a_new_folder_is_its_users_alone(enabled, tmp_path):
    folder = tmp_path / "a" / "cache"
    assert enabled(folder) == (str(folder), "")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert enabled(folder) == (str(folder), "")


def test_a_link_of_ones_own_to_a_folder_of_ones_own_is_taken(enabled, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert enabled(tmp_path / "link") == (str(tmp_path / "link"), "")


def test_programs_that_were_long_unused_are_removed(enabled, tmp_path):
    days = compilation_cache.UNUSED_DAYS * 86400
    for name, (read, written) in {
        "old-cache": (days + 60, days + 60),
        "used-cache": (days - 60, 2 * days),
        "new-cache": (2 * days, days - 60),
        "other": (2 * days, 2 * days),
    }.items():
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (time.time() - read, time.time() - written))
    assert enabled(tmp_path) == (str(tmp_path), "")
    assert {path.name for path in tmp_path.iterdir()} == {"used-cache", "new-cache", "other"}


@pytest.mark.parametrize("way", ["mode", "link", "parent", "parent of a link"])
def test_a_folder_that_others_can_write_is_refused(enabled, tmp_path, way):
    folder = tmp_path / "open" / "cache"
    folder.mkdir(parents=True, mode=0o700)
    guilty = folder if way in ("mode", "link") else folder.parent
    guilty.chmod(0o757)
    given = folder
    if "link" in way:
        given = tmp_path / "link"
        given.symlink_to(folder)
    used, said = enabled(given)
    assert used is None
    assert said.count("\n") == 1
    # A link is judged by the folder it leads to.
    assert "can be written by others (chmod go-w" in said


def test_a_folder_or_link_of_another_user_is_refused(enabled, tmp_path):
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 12345, 12345)
    used, said = enabled(tmp_path / "theirs")
    assert used is None
    assert "belongs to another user" in said
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    os.chown(tmp_path / "link", 12345, 12345, follow_symlinks=False)
    assert "belongs to another user" in enabled(tmp_path / "link")[1]


def test_a_folder_that_cannot_be_made_is_said(enabled, tmp_path):
    (tmp_path / "file").write_text("")
    assert enabled(tmp_path / "file" / "cache")[0] is None
    assert enabled(tmp_path / "file")[0] is None


def test_a_user_without_a_home_folder(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("JAXPERCEPT_CACHE", raising=False)
    assert compilation_cache.own_folder() == (None, "this user has no home folder; set HOME")
    monkeypatch.setenv("JAXPERCEPT_CACHE", "/cache")
    assert str(compilation_cache.folder()) == "/cache"
