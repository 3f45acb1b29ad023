"""Weights files are written whole or not at all, and one resolver knows the names."""

import os

import numpy as np
import pytest

from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Makes a weights directory with two styles."""
    monkeypatch.setenv("JAXPERCEPT_WEIGHTS", str(tmp_path))
    for name in ("wave", "starry_night"):
        weights_file.write_weights(
            tmp_path / "styles" / f"{name}.safetensors", {"a": np.zeros(2)}, {"kind": "x"}
        )
    return tmp_path


def test_arrays_and_header_come_back(tmp_path):
    kernel = np.arange(6, dtype=np.float16).reshape(2, 3).T
    arrays: dict[str, np.ndarray] = {"a.kernel": kernel, "b": np.array([[1.5]], np.float32)}
    header = {"kind": "x", "net": {"stem": 3, "up": [1, 2]}, "text": "ℓ × 2"}
    weights_file.write_weights(tmp_path / "deep" / "w.safetensors", arrays, header)
    read, about = weights_file.read_weights(tmp_path / "deep" / "w.safetensors")
    assert about == header
    assert all((read[k] == arrays[k]).all() and read[k].dtype == arrays[k].dtype for k in arrays)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["w.safetensors"]


def test_file_names_that_are_not_utf8_do_not_make_a_header_unreadable(tmp_path):
    header = {"style": {"file": os.fsdecode(b"a\xff.png"), "sha256": "é"}}
    path = weights_file.write_weights(tmp_path / "w.safetensors", {"a": np.zeros(1)}, header)
    assert weights_file.read_header(path) == {"style": {"file": "a?.png", "sha256": "é"}}


def test_equal_contents_give_equal_bytes(tmp_path):
    """A published checksum needs this, because safetensors itself orders the header anew in every
    call."""
    arrays: dict[str, np.ndarray] = {"b": np.zeros(3, np.float16), "a": np.ones((2, 2))}
    header = {f"key{i}": [i, "ℓ"] for i in range(12)}
    first, second = (
        weights_file.write_weights(tmp_path / n, arrays, header).read_bytes() for n in "12"
    )
    assert first == second
    assert int.from_bytes(first[:8], "little") % 8 == 0
    weights_file.write_weights(tmp_path / "bare", arrays, {})
    read, about = weights_file.read_weights(tmp_path / "bare")
    assert about == {}
    assert (read["a"] == 1).all()


def test_a_file_of_another_net_is_told_in_a_few_names():
    wanted = {f"params.{i}": (3,) for i in range(9)}
    found = {"params.0": (3,), "params.1": (2,), "params.x": (3,)}
    with pytest.raises(InputError) as raised:
        weights_file.check_shapes("a", found, wanted)
    assert str(raised.value) == (
        "a: does not fit its own config: missing params.2; missing params.3; missing params.4; "
        "missing params.5; 3 more missing; misshapen params.1; extra params.x; use another copy"
    )


def test_names_and_files_resolve(shelf):
    assert weights_file.available("styles") == ["starry_night", "wave"]
    assert weights_file.resolve("wave", "styles").parent == shelf / "styles"
    path = shelf / "styles" / "wave.safetensors"
    assert weights_file.resolve(path, "styles") == path


def test_an_unknown_name_lists_the_known(shelf):
    with pytest.raises(InputError, match=r"did you mean wave\?.*starry_night, wave"):
        weights_file.resolve("wawe", "styles")
    with pytest.raises(InputError, match="no such weights file"):
        weights_file.resolve("runs/mine/model.safetensors", "styles")
    with pytest.raises(InputError, match="shipped in superres: none"):
        weights_file.resolve("x4", "superres")


@pytest.mark.parametrize("cut", [0, 5, 40, -1])
def test_a_file_cut_short_is_refused(shelf, cut):
    path = shelf / "styles" / "wave.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="is not a complete safetensors file"):
        weights_file.read_weights(path)


def test_what_cannot_be_read_or_written_is_named(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match=r"fifo: is a FIFO \(pipe\), not a file"):
        weights_file.read_weights(tmp_path / "fifo")
    with pytest.raises(InputError, match="no such file; give the path of a weights file"):
        weights_file.read_weights(tmp_path / "none.safetensors")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        weights_file.write_weights(tmp_path / "file" / "w.safetensors", {"a": np.zeros(1)}, {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        weights_file.write_weights(tmp_path / "folder", {"a": np.zeros(1)}, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fifo", "file", "folder"]


def test_the_shipped_weights_are_found_in_a_checkout(root):
    assert weights_file.weights_dir() == root / "weights"
    assert "vgg16-imagenet" in weights_file.available("vgg")
