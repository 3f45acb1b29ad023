"""Other projects' nets: equal to twins written from their descriptions, also at odd sizes; real
trained nets against their published pictures; every mistake in a file named in one line.
"""

import dataclasses
import io
import re
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from jaxpercept import cli, images
from jaxpercept.config import TransformNetConfig
from jaxpercept.errors import InputError
from jaxpercept.evaluation import metrics, parity
from jaxpercept.evaluation.parity import net_cases
from jaxpercept.inference.model import load_model
from jaxpercept.interop.convert import (
    FORMATS,
    convert_transform_net,
    convert_vgg16,
    lengstrom,
)
from jaxpercept.nets import net_file, weights_file

NEAR = 1 / 255  # the promise; measured errors are 100 times smaller
SIZES = pytest.mark.parametrize("size", [(24, 32), (21, 27), (30, 19), (17, 22)])
IMPORTED = {
    "pytorch-examples": TransformNetConfig(
        stem=4, down=(6, 8), up=(6, 4), blocks=2, bias=True, input="raw", output="raw", fit="crop"
    ),
    "lengstrom": TransformNetConfig(
        stem=4,
        down=(6, 8),
        up=(6, 4),
        blocks=2,
        norm_eps=1e-3,
        input="raw",
        output="tanh",
        output_scale=150 / 127.5,
        padding="same",
        upsample="transposed",
        head_norm=True,
        fit="crop",
    ),
}


@pytest.fixture(scope="module")
def peer():
    pytest.importorskip("torch", reason="torch is not installed")
    import peer_nets

    return peer_nets


@pytest.fixture
def examples(peer):
    """Returns a narrow net of pytorch/examples, and its state dict as NumPy arrays."""
    net = peer.randomized(peer.PytorchExamples(4, 6, 8))
    net.deconv3.conv2d.weight.data *= 100  # to 0-255
    net.deconv3.conv2d.bias.data += 120
    return net, {k: v.detach().numpy() for k, v in net.state_dict().items()}


@pytest.fixture
def variables(peer):
    """Returns 48 variables of a narrow lengstrom net."""
    random = np.random.default_rng(0)
    return {
        f"Variable_{i}" if i else "Variable": random.normal(
            i % 3 == 2, 0.3 if len(shape) == 1 else 1.5 / np.sqrt(np.prod(shape[:3])), shape
        ).astype(np.float32)
        for i, shape in enumerate(peer.lengstrom_shapes(4, 6, 8))
    }


def photo(*size, seed=0):
    """Returns smooth pictures with noise: (2, H, W, 3)."""
    random = np.random.default_rng(seed)
    smooth = images.resize(random.random((5, 6, 3), np.float32), size, method="bicubic")
    return np.stack([smooth, smooth[::-1]]) * 0.9 + 0.1 * random.random((2, *size, 3), np.float32)


def run_twin(forward, x):
    import torch

    with torch.no_grad():
        return forward(torch.from_numpy(np.ascontiguousarray(x))).numpy()


def convert(src, source, tmp_path):
    path = tmp_path / "net.safetensors"
    convert_transform_net(src, path, source)
    return load_model(path)


def worst(a, b):
    assert np.std(b) > 0.05  # a picture, not a constant
    return float(np.abs(np.asarray(a) - b).max())


@SIZES
def test_a_pytorch_examples_net_equals_its_twin(examples, tmp_path, size):
    net, state = examples
    np.savez(tmp_path / "net.npz", **state)
    x = photo(*size)
    y = convert(tmp_path / "net.npz", "pytorch-examples", tmp_path)(x)
    assert y.shape == x.shape
    assert worst(y, run_twin(net, x)[:, : size[0], : size[1]]) < NEAR / 100


@SIZES
def test_a_lengstrom_net_equals_its_twin(peer, variables, tmp_path, size):
    """Odd sizes come out rounded up and moved by the same amount. The part over the input is
    kept."""
    np.savez(tmp_path / "net.npz", **variables)
    x = photo(*size)
    y = convert(tmp_path / "net.npz", "lengstrom", tmp_path)(x)
    theirs = run_twin(lambda x: peer.lengstrom(variables, x), x)
    assert theirs.shape[1:3] == tuple(-(-n // 4) * 4 for n in size)
    assert y.shape == x.shape
    assert worst(y, theirs[:, -size[0] :, -size[1] :]) < NEAR / 100


def test_a_lengstrom_output_of_any_size_lies_on_its_input(peer, tmp_path):
    """The net only blurs, so a spot comes out where it went in, wherever sizes are rounded up."""
    shapes = peer.lengstrom_shapes(1, 1, 1)
    state = {
        f"Variable_{i}" if i else "Variable": np.zeros(s, np.float32) for i, s in enumerate(shapes)
    }
    state["Variable"][4, 4] = state["Variable_45"][4, 4] = 1
    for i in (3, 6, 39, 42, *range(2, 48, 3)):  # blurs, so that every pixel is seen, and scales
        state[f"Variable_{i}"][:] = 1
    np.savez(tmp_path / "net.npz", **state)
    model = convert(tmp_path / "net.npz", "lengstrom", tmp_path)
    for h in (41, 42, 43):  # rounded up by 3, 2 and 1
        rows, columns = np.meshgrid(np.arange(h), np.arange(h), indexing="ij")
        x = np.exp(-((rows - h / 2) ** 2 + (columns - h / 2) ** 2) / 20)[None, ..., None].repeat(
            3, -1
        )
        y = np.asarray(model(x.astype(np.float32)))[0, ..., 0]
        y = np.maximum(y - np.median(y), 0)
        centre = [(y.sum(1 - a) * np.arange(h)).sum() / y.sum() for a in (0, 1)]
        np.testing.assert_allclose(centre, h / 2, atol=0.7)


@pytest.mark.parametrize("name", list(IMPORTED))
@pytest.mark.parametrize("size", [(24, 32), (21, 27)])
def test_the_parity_twin_knows_the_options_of_imported_nets(peer, name, size):
    """Also covers odd sizes that are reflected up first instead of cropped."""
    for fit in ("crop", "reflect"):
        case = net_cases.net("net", name, dataclasses.replace(IMPORTED[name], fit=fit), size)
        error = parity.relative_error(
            parity.run_ours(case, "float32")["y"], parity.run_twin(case)["y"]
        )
        assert error < 5e-6  # rounding leaves 2e-6


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_state_dicts_in_every_container_and_old_keys(examples, tmp_path, suffix):
    import torch

    net, state = examples
    old = state | {
        "in1.running_mean": np.zeros(4, np.float32),
        "res3.in2.running_var": np.ones(8, np.float32),
    }
    path = tmp_path / f"theirs{suffix}"
    if suffix == ".npz":
        np.savez(path, **old)
    elif suffix == ".pth":
        torch.save({k: torch.from_numpy(v) for k, v in old.items()}, path)
    else:
        save_file(old, path)
    model = convert(path, "pytorch-examples", tmp_path)
    assert worst(model(photo(16, 20)), run_twin(net, photo(16, 20))) < NEAR / 100
    assert model.header["carrier_sha256"] == weights_file.sha256(path)
    assert (model.config.stem, model.config.down, model.config.up) == (4, (6, 8), (6, 4))


def test_data_parallel_and_a_checkpoint_around_the_state_dict(examples, tmp_path):
    import torch

    state = {f"module.{k}": torch.from_numpy(v) for k, v in examples[1].items()}
    torch.save({"epoch": 2, "model_state_dict": state}, tmp_path / "theirs.pth")
    model = convert(tmp_path / "theirs.pth", "pytorch-examples", tmp_path)
    np.testing.assert_array_equal(model.params["head.bias"], examples[1]["deconv3.conv2d.bias"])
    mixed = {k.removeprefix("module.") if "deconv3" in k else k: v for k, v in state.items()}
    torch.save(mixed, tmp_path / "mixed.pth")
    with pytest.raises(
        InputError, match=r"missing conv1\.conv2d\.weight; .*extra module\.conv1\.conv2d\."
    ) as raised:
        convert(tmp_path / "mixed.pth", "pytorch-examples", tmp_path)
    line = str(raised.value)
    assert line.count("missing ") == line.count("extra ") == 4
    assert re.search(r"; \d\d more missing; ", line)
    assert line.endswith(" more extra; give the net as its project saves it, or try another --from")


def test_everything_wrong_with_a_state_dict_in_one_line(examples, variables, tmp_path):
    state = dict(examples[1])
    del state["res2.in1.weight"]
    state["res1.conv1.conv2d.weight"] = np.zeros((8, 6, 3, 3), np.float32)
    state["in4.bias"] = np.full(6, np.nan, np.float32)
    state["in5.bias"] = np.zeros(4, np.int32)
    np.savez(tmp_path / "net.npz", **state, novel=np.zeros(2))
    with pytest.raises(InputError) as e:
        convert(tmp_path / "net.npz", "pytorch-examples", tmp_path)
    line = str(e.value)
    for part in (
        "missing res2.in1.weight",
        "misshapen res1.conv1.conv2d.weight: (8, 6, 3, 3), expected (8, 8, 3, 3)",
        "not finite: in4.bias",
        "not floating point: in5.bias (int32)",
        "extra novel",
    ):
        assert part in line
    assert "\n" not in line
    variables["Variable_39"] = variables["Variable_39"].transpose(0, 1, 3, 2)
    del variables["Variable_44"]
    np.savez(tmp_path / "net.npz", **variables, Variable_48=np.zeros(3))
    with pytest.raises(InputError, match=r"missing Variable_44; .*extra Variable_48") as e:
        convert(tmp_path / "net.npz", "lengstrom", tmp_path)
    assert "misshapen Variable_40: (6,), expected (8,)" in str(e.value)
    with pytest.raises(
        InputError, match=r"none of its 48 arrays \(Variable, Variable_1, .*try another --from"
    ):
        convert(tmp_path / "net.npz", "pytorch-examples", tmp_path)
    assert not (tmp_path / "net.safetensors").exists()


def test_files_of_other_formats(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a net")
    for source, message in (
        ("pytorch-examples", "not a PyTorch file"),
        ("lengstrom", "Variable_47, or a TensorFlow"),
    ):
        with pytest.raises(InputError, match=message):
            convert_transform_net(tmp_path / "x.jpg", tmp_path / "y", source)
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"cut\.npz"):
        convert_transform_net(tmp_path / "cut.npz", tmp_path / "y", "pytorch-examples")
    with pytest.raises(
        InputError, match=r"no such file; give the path of a net of johnson: a Torch7 \.t7"
    ):
        convert_transform_net(tmp_path / "none.t7", tmp_path / "y", "johnson")
    for source in ("pytorch-examples", "lengstrom", "johnson"):
        with pytest.raises(InputError, match=rf"{tmp_path}: is a folder, .* of a net of {source}"):
            convert_transform_net(tmp_path, tmp_path / "y", source)
    with pytest.raises(InputError, match="one of: pytorch-examples, lengstrom, johnson"):
        convert_transform_net(tmp_path / "x.jpg", tmp_path / "y", "keras")
    with pytest.raises(InputError, match="is the source itself"):
        convert_transform_net(tmp_path / "x.jpg", tmp_path / "x.jpg", "pytorch-examples")


@pytest.mark.parametrize(
    ("header", "use"),
    [
        ({"kind": "transform_net", "task": "style"}, "infer.py stylize PHOTO --style"),
        ({"kind": "transform_net", "task": "superres"}, "infer.py upscale PHOTO --model"),
        ({"kind": "vgg16"}, "train.py style --style-image PAINTING --data PHOTOS --vgg"),
    ],
)
def test_our_own_files_need_no_conversion(tmp_path, header, use):
    ours = weights_file.write_weights(tmp_path / "x.safetensors", {"a": np.zeros(2)}, header)
    already = f"x.safetensors: is a weights file of this project already .*{use} {ours}$"
    for source in FORMATS:
        with pytest.raises(InputError, match=already):
            convert_transform_net(ours, tmp_path / "y.safetensors", source)
    with pytest.raises(InputError, match=already):
        convert_vgg16(ours, tmp_path / "y.safetensors")


def test_a_tensorflow_checkpoint(peer, variables, tmp_path, monkeypatch):
    """A stand-in replaces TensorFlow's own reader. The optimizer's variables are left out."""
    (tmp_path / "wave.ckpt.index").touch()
    src = tmp_path / "wave.ckpt"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorflow", None)
        with pytest.raises(
            InputError, match=r"needs tensorflow; pip install tensorflow, or give an \.npz"
        ):
            convert(src, "lengstrom", tmp_path)
    found = variables | {
        "Variable/Adam": np.zeros(1),
        "Variable_7/Adam_1": np.zeros(1),
        "beta1_power": np.zeros(()),
    }

    def load_checkpoint(path):
        assert path == str(src)
        return types.SimpleNamespace(
            get_variable_to_shape_map=lambda: {k: v.shape for k, v in found.items()},
            get_tensor=found.__getitem__,
        )

    with (
        monkeypatch.context() as patch
    ):  # only while reading, since JAX's cache would use this TensorFlow too
        train = types.SimpleNamespace(load_checkpoint=load_checkpoint)
        patch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(train=train))
        assert lengstrom._variables(src).keys() == found.keys()
    monkeypatch.setattr(lengstrom, "_variables", lambda path: found)
    model = convert(src, "lengstrom", tmp_path)
    x = photo(16, 20)
    assert worst(model(x), run_twin(lambda x: peer.lengstrom(variables, x), x)) < NEAR / 100
    found["Variable_1"] = np.zeros(3, np.float32)
    with pytest.raises(InputError, match="misshapen Variable_1"):
        convert(src, "lengstrom", tmp_path)


def test_variables_by_the_names_that_tensorflow_shows(variables, tmp_path):
    shown = {
        f"{k}:0": v
        for k, v in (
            variables | {"Variable/Adam": np.zeros(1), "global_step": np.zeros(())}
        ).items()
    }
    np.savez(tmp_path / "wave.npz", **shown)
    model = convert(tmp_path / "wave.npz", "lengstrom", tmp_path)
    np.testing.assert_array_equal(model.params["stem.kernel"], variables["Variable"])


def test_what_names_a_tensorflow_checkpoint(tmp_path):
    for end in ("index", "meta", "data-00000-of-00001"):
        (tmp_path / f"wave.ckpt-9.{end}").write_bytes(b"x")
        assert lengstrom._prefix(tmp_path / f"wave.ckpt-9.{end}") == tmp_path / "wave.ckpt-9"
    for name in ("", "wave.ckpt-9", "wave.ckpt-9.meta"):
        assert lengstrom.is_checkpoint(tmp_path / name)
        assert lengstrom._prefix(tmp_path / name) == tmp_path / "wave.ckpt-9"
    (tmp_path / "wave.ckpt-10.index").touch()  # the folder's `checkpoint` says which one
    assert lengstrom._prefix(tmp_path) == tmp_path
    (tmp_path / "single").write_bytes(
        b"a table of the first version" + bytes.fromhex("57fb808b247547db")
    )
    assert lengstrom.is_checkpoint(tmp_path / "single")
    assert lengstrom._prefix(tmp_path / "single") == tmp_path / "single"
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none"):
        assert not lengstrom.is_checkpoint(tmp_path / name)


@pytest.mark.parametrize("size", [(20, 24), (22, 19)])
@pytest.mark.parametrize("kind", ["instance", "batch", "old", "zero"])
def test_a_johnson_net_equals_its_twin(peer, tmp_path, kind, size):
    from torch import nn

    norm = (
        nn.BatchNorm2d if kind in ("batch", "old") else lambda c: nn.InstanceNorm2d(c, affine=True)
    )
    net = peer.randomized(peer.Johnson(4, 6, 8, blocks=2, norm=norm, start=kind != "zero"))
    src = peer.write_t7(tmp_path / "candy.t7", peer.johnson_table(net, old=kind == "old"))
    model, x = convert(src, "johnson", tmp_path), photo(*size)
    assert worst(model(x), run_twin(net, x)[:, : size[0], : size[1]]) < NEAR / 100
    assert model.header["arch"] == net.arch == "c9s1-4,d6,d8,R8,R8,u6,u4,c9s1-3"
    assert model.header["options"]["style_image"] == "candy.jpg"
    assert (model.config.start_padding, model.config.output) == (
        0 if kind == "zero" else 16,
        "vgg_tanh",
    )


def test_torch7_files_that_are_refused(peer, tmp_path):
    table = peer.johnson_table(peer.randomized(peer.Johnson(4, 6, 8, blocks=1)))
    path, modules = tmp_path / "net.t7", table["model"].fields["modules"]

    def refused(message, **options):
        peer.write_t7(path, table | {"opt": table["opt"] | options})
        with pytest.raises(InputError, match=message) as e:
            convert(path, "johnson", tmp_path)
        assert "\n" not in str(e.value)
        assert str(e.value).count(str(path)) == 1

    refused(
        "its architecture is c9s1-4,U2,c3s1-3; supported are architectures like",
        arch="c9s1-4,U2,c3s1-3",
    )
    refused("residual blocks of another width", arch="c9s1-4,d6,d8,R6,u6,u4,c9s1-3")
    refused("its padding is 'replicate'", padding_type="replicate")
    refused("its preprocessing is 'resnet'", preprocessing="resnet")
    refused("do not match its architecture", arch="c9s1-4,R4,R4,R4,R4,c9s1-3")
    refused(
        "misshapen model.2.weight: .*misshapen model.2.bias", arch="c9s1-5,d6,d8,R8,u6,u4,c9s1-3"
    )
    modules[1].fields["weight"] = None
    refused("missing model.2.weight")
    modules[1] = 3.0
    refused("its modules are not those of fast-neural-style")
    peer.write_t7(path, [1.0, 2.0])
    with pytest.raises(
        InputError, match="not a checkpoint of fast-neural-style with model and opt"
    ):
        convert(path, "johnson", tmp_path)
    whole = peer.write_t7(path, table).read_bytes()
    for damaged, message in (
        (whole[: len(whole) // 2], "damaged"),
        (b"\xff\xd8 a picture", "not a binary Torch7"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            convert(path, "johnson", tmp_path)


@pytest.mark.parametrize("value", [float("inf"), 1e300, float("nan")])
def test_options_that_no_header_holds_are_left_out(peer, tmp_path, value):
    """Otherwise the file would be written, and refused by every command."""
    table = peer.johnson_table(peer.randomized(peer.Johnson(4, 6, 8, blocks=1)))
    table["opt"]["tanh_constant"] = value
    net = convert(peer.write_t7(tmp_path / "net.t7", table), "johnson", tmp_path)
    assert net.config.output_scale == 150


def test_torch7_views_lie_on_storages_and_nets_are_finite(peer, tmp_path):
    """Covers a tensor whose storage is an earlier tensor with stride 0, shared children 60 deep,
    and tables nested without end."""
    table = peer.johnson_table(peer.randomized(peer.Johnson(4, 6, 8, blocks=1)))
    modules = table["model"].fields["modules"]
    modules[1].fields["weight"] = peer.Raw.tensor_on_a_tensor()
    peer.write_t7(tmp_path / "net.t7", table)
    with pytest.raises(InputError, match="lies on something that is not a storage"):
        convert(tmp_path / "net.t7", "johnson", tmp_path)
    for leaf in (peer.Lua("nn.Identity"), peer.Lua("nn.Sequential", modules=[])):
        model = peer.Shared(2000, leaf)
        for number in range(2001, 2030):
            twice = peer.Lua("nn.Sequential", modules=[model, peer.Again(number - 1)])
            model = peer.Shared(number, twice)
        peer.write_t7(tmp_path / "net.t7", table | {"model": model})
        with pytest.raises(InputError, match="more than 2,000 modules"):
            convert(tmp_path / "net.t7", "johnson", tmp_path)
    deep: list = []
    for _ in range(150):
        deep = [deep]
    peer.write_t7(tmp_path / "net.t7", deep)
    with pytest.raises(InputError, match="or 100 inside each other"):
        convert(tmp_path / "net.t7", "johnson", tmp_path)


def test_half_precision_torch7(peer, tmp_path):
    net = peer.randomized(peer.Johnson(4, 6, 8, blocks=1))
    model = convert(
        peer.write_t7(tmp_path / "half.t7", peer.johnson_table(net), "CudaHalf"),
        "johnson",
        tmp_path,
    )
    bias = list(net.parameters())[-1].detach().numpy()
    np.testing.assert_array_equal(
        model.params["head.bias"], bias.astype(np.float16).astype(np.float32)
    )


def test_the_command_line_from_a_file_to_pictures_of_their_own_size(examples, tmp_path, capsys):
    np.savez(tmp_path / "net.npz", **examples[1])
    net = str(tmp_path / "candy.safetensors")
    assert (
        cli.main(
            [
                "convert",
                "transform-net",
                str(tmp_path / "net.npz"),
                net,
                "--from",
                "pytorch-examples",
            ]
        )
        == 0
    )
    assert f"infer.py stylize PHOTO --style {net}" in capsys.readouterr().out
    images.save_image(tmp_path / "a.png", photo(30, 45)[0])
    for size, expected in ((45, (30, 45, 3)), (37, (25, 37, 3)), (50, (33, 50, 3))):
        out = tmp_path / f"{size}.png"
        assert (
            cli.main(
                [
                    "stylize",
                    str(tmp_path / "a.png"),
                    "--style",
                    net,
                    "-o",
                    str(out),
                    "--size",
                    str(size),
                ]
            )
            == 0
        )
        assert images.load_image(out).shape == expected


def real(real_data, name):
    path = real_data / "peer_models" / name
    if not path.is_file():
        pytest.skip(f"needs peer_models/{name} in the folder of real data")
    return path


def psnr(a, b):
    return float(metrics.psnr(jnp.asarray(a), jnp.asarray(b)))


@pytest.fixture
def candy(peer, real_data, tmp_path):
    """Returns pytorch/examples' candy at 8, 16 and 32 channels: the twin, the model, and the photo
    it was published with."""
    src = real(real_data, "pytorch_examples_candy_nc8.npz")
    net = peer.PytorchExamples(8, 16, 32).eval()
    import torch

    with np.load(src) as file:
        net.load_state_dict({k: torch.from_numpy(v) for k, v in file.items()})
    content = images.load_image(real_data / "content" / "amber.jpg")
    return net, convert(src, "pytorch-examples", tmp_path), content


def test_a_real_pytorch_examples_net_equals_its_twin(candy):
    net, model, content = candy
    x = content[401:532, 405:523][None]
    assert worst(model(x), run_twin(net, x)[:, :131, :118]) < NEAR / 10


def test_a_real_pytorch_examples_net_comes_as_near_to_its_published_picture_as_pytorch(
    candy, real_data
):
    published = images.load_image(real(real_data, "pytorch_examples_candy_nc8_amber.jpg"))
    _, model, content = candy
    y = np.asarray(model(content[None]))[0]
    data = io.BytesIO()
    Image.fromarray((255 * y).astype(np.uint8)).save(
        data, "JPEG", quality=75
    )  # pytorch/examples rounds down
    again = images.to_float(np.asarray(Image.open(data)))
    assert round(psnr(y, published), 1) >= 30.3
    assert round(psnr(again, published), 1) >= 36.2


def test_a_real_lengstrom_net_equals_its_twin_and_gives_its_published_picture(
    peer, real_data, tmp_path
):
    """The picture is 712x474. A crop of the rounded-up 476 at the top would be two pixels off and
    leave 18 dB."""
    src = real(real_data, "lengstrom_wave.npz")
    with np.load(src) as file:
        state = dict(file)
    content = images.load_image(real(real_data, "lengstrom_content_chicago.jpg"))
    model = convert(src, "lengstrom", tmp_path)
    x = content[100:163, 300:382][None]
    assert (
        worst(model(x), run_twin(lambda x: peer.lengstrom(state, x), x)[:, -63:, -82:]) < NEAR / 10
    )
    assert (
        psnr(
            model(content[None])[0],
            images.load_image(real(real_data, "lengstrom_chicago_wave.jpg")),
        )
        > 39
    )


def test_a_file_says_what_it_is(examples, tmp_path):
    np.savez(tmp_path / "net.npz", **examples[1])
    header = convert_transform_net(
        tmp_path / "net.npz", tmp_path / "net.safetensors", "pytorch-examples"
    )
    config, params, _, read = net_file.load(tmp_path / "net.safetensors")
    assert {k: read[k] for k in header} == header
    assert config.preset == "pytorch-examples"
    np.testing.assert_array_equal(
        params["stem.bias"], examples[1]["conv1.conv2d.bias"]
    )  # not rounded
