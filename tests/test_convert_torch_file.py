"""PyTorch files without PyTorch: both formats are read correctly, nothing is executed, and damage
is named in one line.
"""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from jaxpercept.errors import InputError
from jaxpercept.interop.convert import torch_pickle
from jaxpercept.interop.convert.torch_file import _MAGIC, _PROTOCOL, read_state_dict, unprefixed

BOTH = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def part(value):
    """Returns the opcodes that put a value on the pickle's stack."""
    return pickle.dumps(value, 2)[2:-1]


def call(name, *arguments):
    """Returns the opcodes of module.name(*arguments), with the arguments as opcodes."""
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def tensor(values, offset=0, size=None, stride=(1,), kind="FloatStorage", count=None):
    """Returns the opcodes of a tensor on storage "0"."""
    count = len(values) if count is None else count
    storage = (
        b"("
        + part("storage")
        + f"ctorch\n{kind}\n".encode()
        + part("0")
        + part("cpu")
        + part(count)
        + b"NtQ"
    )
    return call(
        "torch._utils._rebuild_tensor",
        storage,
        part(offset),
        part(size or (len(values),)),
        part(stride),
    )


def legacy(path, body, values=(), keys=("0",)):
    """Writes a file of the format before torch 1.6 whose object is made by the opcodes `body`."""
    data = io.BytesIO()
    for value in (_MAGIC, _PROTOCOL, {"little_endian": True}):
        pickle.dump(value, data, 2)
    data.write(b"\x80\x02" + body + b".")
    pickle.dump(list(keys), data, 2)
    data.write(len(values).to_bytes(8, "little") + np.float32(values).tobytes())
    path.write_bytes(data.getvalue())
    return path


def entry(body):
    """Returns the opcodes of {"a": body}."""
    return b"}(" + part("a") + body + b"u"


@BOTH
def test_a_file_of_torch_comes_back(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0).reshape(4, 6)
    state = {
        "view": base.T[1:4, ::2],
        "shared": base,
        "parameter": torch.nn.Parameter(base.half()),
        "double": base[1].double(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }
    checkpoint = {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1, "betas": (0.9, 0.99)}}
    torch.save(checkpoint, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found = read_state_dict(tmp_path / "w.pth")
    assert found.keys() == state.keys()
    for name, value in state.items():
        expected = value.detach().numpy()
        assert found[name].dtype == expected.dtype
        assert type(found[name]) is np.ndarray
        np.testing.assert_array_equal(found[name], expected)


def test_a_parameter_of_the_first_versions(tmp_path):
    """It is pickled as an object of class Parameter, made from a tensor, with a state after it."""
    values = (1.0, 2.0, 3.0, 4.0, 5.0)
    data = tensor(values, offset=1, size=(2, 2), stride=(2, 1))
    parameter = (
        b"ctorch.nn.parameter\nParameter\n" + data + b"\x85\x81" + part((True, False, {})) + b"b"
    )
    found = read_state_dict(legacy(tmp_path / "w.pth", entry(parameter), values))
    np.testing.assert_array_equal(found["a"], [[2, 3], [4, 5]])
    assert type(found["a"]) is np.ndarray


@BOTH
@pytest.mark.parametrize(
    "name", ["posix.system", "builtins.eval", "torch.load", "numpy.load", "torch.hub.load"]
)
def test_a_pickle_that_would_run_code_is_refused(tmp_path, zipped, name):
    body = entry(call(name, part(f"touch {tmp_path / 'ran'}")))
    if zipped:
        with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
            archive.writestr("w/data.pkl", b"\x80\x02" + body + b".")
    else:
        legacy(tmp_path / "w.pth", body)
    said = rf"w\.pth: its pickle names {name}, which is refused; .*: save `model\.state_dict"
    with pytest.raises(InputError, match=said):
        read_state_dict(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_a_bare_pickle_bomb_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    (tmp_path / "w.pth").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match=r"names .*system, which is refused"):
        read_state_dict(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"offset": 1}, "beyond its storage"),
        ({"size": (5,)}, "beyond its storage"),
        ({"size": (2,), "stride": (-1,)}, "beyond its storage"),
        ({"size": (2,), "offset": -1}, "beyond its storage"),
        ({"size": (1 << 40,), "stride": (0,)}, "beyond its storage"),
        ({"size": (1 << 40, 1 << 40), "stride": (0, 0)}, "beyond its storage"),
        ({"count": 1 << 40}, "larger than the file"),
        ({"size": (1, 1), "stride": (1,)}, "size or strides"),
        ({"size": (2.0,)}, "size or strides"),
        ({"kind": "QInt8Storage"}, "its numbers are of torch.QInt8Storage, which is not supported"),
    ],
)
def test_a_tensor_that_leaves_its_storage_is_refused(tmp_path, arguments, message):
    values = (1.0, 2.0, 3.0, 4.0)
    with pytest.raises(InputError, match=message):
        read_state_dict(legacy(tmp_path / "w.pth", entry(tensor(values, **arguments)), values))


def rebuilt(base, offset, size, stride):
    """Returns the opcodes of a tensor on whatever `base` makes."""
    return call("torch._utils._rebuild_tensor", base, part(offset), part(size), part(stride))


@pytest.mark.parametrize("base", ["view", "none", "text", "parameter"])
def test_only_a_storage_counts_as_one(tmp_path, base):
    """A view with stride 0 shows 4 numbers and holds one: a view of it would read other memory."""
    view = tensor((1.0, 2.0, 3.0, 4.0), size=(4,), stride=(0,))
    made = {
        "view": view,
        "none": b"N",
        "text": part("0"),
        "parameter": b"ctorch.nn.parameter\nParameter\n" + view + b"\x85\x81",
    }[base]
    path = legacy(tmp_path / "w.pth", entry(rebuilt(made, 0, (4,), (1,))), (1.0, 2.0, 3.0, 4.0))
    with pytest.raises(
        InputError, match=r"w\.pth: a tensor lies on something that is not a storage"
    ):
        read_state_dict(path)


def test_many_tensors_on_one_storage_are_refused_before_they_are_copied(tmp_path):
    values = np.arange(20_000.0)
    first = part("0") + tensor(values) + b"q\x01"
    again = b"".join(part(str(i)) + b"h\x01" for i in range(1, 8000))
    path = legacy(tmp_path / "w.pth", b"}(" + first + again + b"u", values)
    with pytest.raises(InputError, match=r"its tensors: 640,000,000 bytes out of a file of"):
        read_state_dict(path)


def nested(depth):
    """Returns the opcodes of a tuple in a tuple in a tuple …"""
    return b")" + b"\x85" * depth


def test_keys_that_are_deep_tuples_are_left_out(tmp_path):
    """Python's hash of a deep tuple recurses without a limit and would crash the process."""
    deep = b"}" + nested(200_000) + b"K\x01s0"  # {((…)): 1}, thrown away
    ordered = call("collections.OrderedDict", b"](]" + b"(" + nested(200_000) + b"K\x01ee")
    for body in (deep + entry(tensor((1.0,))), ordered + b"0" + entry(tensor((1.0,)))):
        found = read_state_dict(legacy(tmp_path / "w.pth", body, (1.0,)))
        np.testing.assert_array_equal(found["a"], [1])


def shared(depth):
    """Returns the opcodes of a tuple of a tuple twice, of a tuple twice …: 2 ** depth paths through
    it."""
    return b")" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(depth))


@pytest.mark.parametrize("part_of", ["kind", "key", "size", "call", "keys"])
def test_values_with_endless_text_are_never_shown(tmp_path, part_of):
    """The error does not print such a value if it stands in the wrong place."""
    deep = shared(60)
    kind, key, size = b"ctorch\nFloatStorage\n", part("0"), part(1)
    kind, key, size = {
        "kind": (deep, key, size),
        "key": (kind, deep, size),
        "size": (kind, key, deep),
    }.get(part_of, (kind, key, size))
    body = b"(" + part("storage") + kind + key + part("cpu") + size + b"NtQ"
    if part_of == "call":
        body = deep + b")R"
    path = legacy(tmp_path / "w.pth", body, (1.0,), keys=([["0"]],) if part_of == "keys" else "0")
    with pytest.raises(InputError, match="damaged"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"(" * 10, "takes more than it made|cut short|refused|list or dict"),
        (b"h\x07", "never stored"),
        (b"u", "lacks a mark"),
        (b"K\x01K\x02R", "calls something that is refused"),
        (call("torch._utils._rebuild_tensor", b"K\x01"), "arguments missing"),
        (b"]\x93", "takes more than it made"),
        (b"i__main__\nx\n", "step INST is refused"),
    ],
)
def test_pickles_that_make_no_sense_are_refused_in_one_line(tmp_path, body, message):
    with pytest.raises(InputError, match=message) as raised:
        read_state_dict(legacy(tmp_path / "w.pth", body))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("wrapper", ["params", "params_ema", "net", "model"])
@BOTH
def test_wrappers_and_bfloat16(tmp_path, zipped, wrapper):
    """A file with both kinds of weights gives the averaged ones."""
    torch = pytest.importorskip("torch")
    values = torch.tensor([1.5, -3e38, 1e-40]).bfloat16()
    checkpoint = {wrapper: {"a": values}, "step": 7}
    if wrapper == "params_ema":
        checkpoint = {"params": {"a": torch.zeros(3)}} | checkpoint
    torch.save(checkpoint, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found = read_state_dict(tmp_path / "w.pth")["a"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.float().numpy())


def test_what_wrappers_put_into_keys_is_taken_away():
    value = np.zeros(1)
    for keys in (
        ("module.a.b", "module.c"),
        ("_orig_mod.a.b", "_orig_mod.c"),
        ("_orig_mod.module.a.b", "_orig_mod.module.c"),
        ("a._orig_mod.b", "c"),
    ):
        assert list(unprefixed(dict.fromkeys(keys, value))) == ["a.b", "c"]
    assert list(unprefixed({"module.a": value, "b": value})) == ["module.a", "b"]


@BOTH
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused_in_one_line(tmp_path, zipped, kept):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.ones(1000)}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    data = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(data[: int(kept * len(data))])
    with pytest.raises(InputError) as raised:
        read_state_dict(tmp_path / "w.pth")
    assert "w.pth" in str(raised.value)
    assert "\n" not in str(raised.value)


@BOTH
@pytest.mark.parametrize("value", [[1, 2], {"epoch": 3}, "text"])
def test_a_file_without_a_state_dict_is_refused(tmp_path, zipped, value):
    torch = pytest.importorskip("torch")
    torch.save(value, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match="holds no state dict"):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("size", "stride", "good"),
    [((1,), (1 << 62,), True), ((0, 3), (3, 1), True), ((0, 1 << 62, 1 << 62), (1, 1, 1), False)],
)
def test_strides_that_do_not_count_and_empty_tensors(size, stride, good):
    storage = torch_pickle.Storage(np.arange(4, dtype=np.float32))
    if good:
        assert torch_pickle.tensor_view(storage, 0, size, stride).shape == size
    else:
        with pytest.raises(InputError, match="a size that cannot be"):
            torch_pickle.tensor_view(storage, 0, size, stride)


@pytest.mark.parametrize("name", ["torch\nSize", "collections\nOrderedDict"])
def test_a_list_that_is_copied_again_and_again_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch_pickle, "MAX_COPIED", 5_000)
    body = b"\x80\x02](" + b"K\x01" * 1_000 + b"eq\x000"  # a list of 1,000 numbers, memoized
    body += f"c{name}\nq\x01".encode() + b"0h\x01h\x00\x85R" * 6 + b"."
    with pytest.raises(InputError, match="copies more than 5,000 values"):
        torch_pickle.load(io.BytesIO(body), lambda key: None)
