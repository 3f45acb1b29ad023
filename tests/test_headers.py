"""Headers of weights files: every used field has its type, every count its bound, and damage is one
line.
"""

import json

import numpy as np
import pytest

from jaxpercept import cli, config
from jaxpercept.config import TransformNetConfig, to_dict
from jaxpercept.config.net import BOUNDS, net_from_dict
from jaxpercept.errors import InputError, printable
from jaxpercept.nets import headers, multistyle, net_file, transform_net, vgg, weights_file
from jaxpercept.training import style_recipe

SMALL = TransformNetConfig(stem=4, down=(4, 4), up=(4, 4), blocks=1)


@pytest.fixture(scope="module")
def net():
    return transform_net.init(SMALL)


def written(path, net, header=None, **changed):
    net_file.save(path, SMALL, *net, header or {})
    arrays, about = weights_file.read_weights(path)
    weights_file.write_weights(path, arrays, about | {"net": about["net"] | changed})
    return path


def refused(path):
    """Returns the line that loading gives, which is the same for every reader."""
    with pytest.raises(InputError) as raised:
        net_file.load(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(name, 1e300) for name in BOUNDS],
        *[(name, high + 1) for name, (_, high) in BOUNDS.items() if name not in ("down", "up")],
        *[(name, low - 1) for name, (low, _) in BOUNDS.items() if name not in ("down", "up")],
        *[(name, {}) for name in to_dict(SMALL)],
        *[(name, None) for name in to_dict(SMALL)],
        *[("stem", 1.5), ("stem", True), ("blocks", "x"), ("norm_eps", "x"), ("bias", 1)],
        *[("down", [1.5, 4]), ("down", [4] * 100), ("up", [-4]), ("padding", "x" * 10**6)],
    ],
)
def test_a_config_of_another_type_or_size(field, value):
    with pytest.raises(InputError, match=r"net\.x: its network config cannot be read") as raised:
        net_from_dict(to_dict(SMALL) | {field: value}, "net.x")
    assert field in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_a_config_that_is_no_dict_or_does_not_fit_its_arrays(net, tmp_path):
    with pytest.raises(InputError, match=r"network config is \[\], not a dict"):
        net_from_dict([], "net.x")  # type: ignore[arg-type]
    path = written(tmp_path / "a.safetensors", net, blocks=100)
    assert "8 arrays named …kernel instead of 206" in refused(path).replace("….", "…")


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("training", "[" * 10_000, "not jaxpercept's"),
        ("training", "[" * 100 + "]" * 100, "nested too deeply"),
        ("training", "9" * 5000, "not jaxpercept's"),
        ("training", "9" * 50, "not finite or too large"),
        ("training", '{"config": NaN}', "not finite or too large"),
        ("training", '{"config": 1e999}', "not finite or too large"),
        ("training", '{"steps": "many"}', "training: steps is 'many', not a whole number"),
        ("training", "7", "training is 7, not a dict"),
        ("note", '"\\ud800"', "not Unicode"),
        ("net", "[1, 2]", "net is [1, 2], not a dict"),
        ("styles", '{"name": "a"}', "not a list"),
        ("styles", '[{"name": 7, "file": "a", "sha256": ""}]', "name is 7, not a name"),
        ("styles", '[{"name": "../../x", "file": "a", "sha256": ""}]', "not a name"),
        ("styles", '[{"name": "a\\u001b[2J", "file": "a", "sha256": ""}]', "not a name"),
        ("style", '{"file": null}', "style: file is None, not text"),
        ("kind", "7", "kind is 7, not text"),
    ],
)
def test_a_header_that_is_damaged(net, tmp_path, key, text, message):
    metadata = {"kind": '"transform_net"', "net": json.dumps(to_dict(SMALL)), key: text}
    with pytest.raises(InputError) as raised:
        headers.parse(metadata, "net.x")
    assert "net.x: " in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38, -1e13])
def test_weights_that_cannot_be_computed_with_are_refused(net, tmp_path, value):
    params = dict(net[0]) | {"head.bias": np.full(3, value, np.float64)}
    path = tmp_path / "a.safetensors"
    arrays = {f"params.{k}": np.asarray(v) for k, v in params.items()}
    about = {"kind": "transform_net", "net": to_dict(SMALL)}
    weights_file.write_weights(path, arrays, about)
    assert "not finite, or above 1e+12, in params.head.bias" in refused(path)


def test_weights_that_float16_cannot_hold_are_not_written(net, tmp_path):
    params = dict(net[0]) | {"head.bias": np.full(3, 7e4, np.float32)}
    with pytest.raises(InputError, match=r"not finite in float16: params\.head\.bias; go back to"):
        net_file.save(tmp_path / "a.safetensors", SMALL, params, net[1], {})
    assert not list(tmp_path.iterdir())
    net_file.save(tmp_path / "a", SMALL, params, net[1], {}, dtype=np.float32)


def test_kinds_of_numbers_that_are_not_read(tmp_path):
    text = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(InputError, match="a is in F8_E4M3, which is not supported; save it in F16"):
        weights_file.read_weights(tmp_path / "a")


def test_a_header_larger_than_any_is_not_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.write((40 << 20).to_bytes(8, "little") + b"{")
        file.truncate(50 << 20)  # sparse
    with pytest.raises(InputError, match="header of 41,943,040 bytes"):
        weights_file.read_header(tmp_path / "a")


@pytest.mark.parametrize(
    "header",
    [
        {"mean": None},
        {"mean": [1.0, 2.0]},
        {"mean": ["a", "b", "c"]},
        {"std": [1.0, 0.0, 1.0]},
        {"channel_order": "GBR"},
        {"channel_order": {}},
    ],
)
def test_a_loss_network_whose_header_is_damaged(tmp_path, monkeypatch, header):
    shapes = {"conv1_1.kernel": (3, 3, 3, 2), "conv1_1.bias": (2,)}
    monkeypatch.setattr(vgg, "shapes", lambda: shapes)
    about = {"kind": "vgg16", "channel_order": "RGB", "mean": [1.0] * 3, "std": [1.0] * 3}
    arrays = {k: np.zeros(s, np.float16) for k, s in shapes.items()}
    weights_file.write_weights(tmp_path / "a", arrays, about)
    assert vgg.load_vgg16(tmp_path / "a")["preprocess.mean"].shape == (3,)
    weights_file.write_weights(tmp_path / "a", arrays, about | header)
    with pytest.raises(InputError, match=next(iter(header)).split("_")[0]):
        vgg.load_vgg16(tmp_path / "a")


def test_names_that_a_style_may_have():
    assert all(map(headers.is_name, ("wave", "Große Welle", "神奈川", "a.b-c")))
    for name in (
        "",
        "a/b",
        "..\\b",
        "a=b",
        "a,b",
        "a:b",
        "a\n",
        "a\x1b[31m",
        "a\u202eb",
        "a" * 201,
    ):
        assert not headers.is_name(name)
        with pytest.raises(InputError, match="cannot be"):
            multistyle.style_name(name, "x.jpg")


def test_an_error_line_shows_no_control_characters_and_has_an_end(capsys):
    assert printable("a\x1b[2J\nb\u202ec\udc80 ℓ × é") == "a\\x1b[2J\\nb\\u202ec\\udc80 ℓ × é"
    line = printable("x" * 5000 + "; the fix")
    assert len(line) < 1600
    assert "(3,509 characters left out)" in line
    assert line.endswith("; the fix")
    assert cli.main(["stylize", "a\x1b]0;evil\x07.jpg", "--style", "wave\x1b[2J"]) == 2
    with pytest.raises(SystemExit):
        cli.main(["stylize", "--\x1b[2J"])
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\\x1b[2J" in said


@pytest.mark.parametrize("values", [None, [1], {}, {"objective": 5}, {"net": {}, "objective": {}}])
def test_settings_that_cannot_be_read_name_their_file(values):
    with pytest.raises(InputError, match=r"^x\.safetensors: its "):
        config.train_config_from_dict(values, "x.safetensors")


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": [1]},
        {"objective": {"losses": 5, "weights": {}, "content_layers": None, "style_layers": []}},
        {"style_size": "x"},
        {"style_size": -1},
        {"vgg": 5},
    ],
)
def test_a_shared_net_with_damaged_settings_is_refused(settings):
    with pytest.raises(
        InputError, match=r"the shared net: its .* the file is damaged|must|allowed"
    ):
        style_recipe.Recipe.of({"training": {"config": settings}})
