"""Tiles with the statistics of the whole image give the untiled picture, on every path."""

import dataclasses

import numpy as np
import pytest

from jaxpercept import cli, config, images
from jaxpercept.errors import InputError
from jaxpercept.images import samples
from jaxpercept.inference import statistics, tiles
from jaxpercept.inference.model import Model
from jaxpercept.nets import net_file, transform_net
from jaxpercept.runtime import backend

SAME = {"padding": "same", "fit": "crop", "upsample": "transposed", "head_norm": True}
ONE_BLOCK = {"blocks": 1}  # fewer norms, each of which is a pass with a program of its own
# An imported net's fit, and a short reach.
SHORT = ONE_BLOCK | {"fit": "crop", "stem_size": 3, "head_size": 3}


def model(preset, **changes):
    net = dataclasses.replace(config.NET_PRESETS[preset].scaled(0.25), **{"blocks": 2, **changes})
    if net.start_padding:
        net = dataclasses.replace(
            net, start_padding=8 * net.blocks
        )  # the padding that the unpadded blocks use up
    params, stats = transform_net.init(net, seed=1)
    stats = {name: value + 0.1 for name, value in stats.items()}
    mix = np.array([[0.3, 0.7]], np.float32) if net.styles else None
    return Model(preset, net, params, stats, {}, mix=mix)


def photo(height, width):
    return images.to_uint8(images.resize(samples.sample_photos()["coffee"], (height, width)))


def untiled(net, pixels):
    return images.to_uint8(np.asarray(net(pixels[None].astype(np.float32) / 255))[0])


@pytest.mark.parametrize(
    ("preset", "changes", "size"),
    [
        ("resize", {}, (132, 168)),
        ("resize", {}, (129, 165)),
        ("reference", ONE_BLOCK, (132, 168)),
        ("paper", ONE_BLOCK, (132, 168)),
        ("resize", ONE_BLOCK | {"styles": 2}, (132, 168)),
        ("resize", ONE_BLOCK | SAME, (132, 168)),
        ("resize", SHORT, (131, 101)),
        ("resize", SAME | SHORT, (133, 102)),
        pytest.param("resize", SAME | SHORT, (131, 100), marks=pytest.mark.slow),
        ("reference", SHORT, (133, 102)),
        pytest.param("reference", SHORT, (130, 103), marks=pytest.mark.slow),
    ],
    ids=[
        "resize",
        "odd",
        "reference",
        "paper",
        "styles",
        "same",
        "crop",
        "same12",
        "same30",
        "lua12",
        "lua23",
    ],
)
def test_tiles_equal_the_whole(preset, changes, size):
    net, pixels = model(preset, **changes), photo(*size)
    tile = 32 if net.config.stem_size == 3 else 64
    whole, tiled = untiled(net, pixels).astype(int), tiles.run(net, pixels, tile).astype(int)
    assert whole.std() > 1
    assert np.abs(whole - tiled).max() <= 1
    assert (whole != tiled).mean() < 1e-3


def test_statistics_are_of_the_whole_image():
    """A tile's own statistics, or a thumbnail's, would give another picture."""
    net, pixels = model("resize"), photo(132, 168)
    alone = np.concatenate([untiled(net, half) for half in np.split(pixels, 2)]).astype(int)
    assert np.abs(alone - untiled(net, pixels)).max() > 5


def test_moments_of_parts():
    values = np.random.default_rng(0).normal(100, 1, (50, 3))
    total = statistics._Moments()
    for part in (values[:7], values[7:8], values[8:]):
        total.add(len(part), part.mean(0), np.square(part - part.mean(0)).sum(0))
    np.testing.assert_allclose(total.mean, values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(total.squares / total.count, values.var(0), rtol=1e-12)


def test_chosen_by_the_memory_at_hand(monkeypatch):
    net = model("resize")
    monkeypatch.setattr(backend, "memory_left", lambda: 1 << 30)
    assert tiles.choose(net, 1024, 1024) == 0
    assert tiles.choose(net, 10_000, 10_000) == tiles.TILE
    assert tiles.choose(model("reference"), 9_999, 10_000) == 0
    monkeypatch.undo()
    assert backend.memory_left() > 1 << 26


def test_an_image_that_fits_into_a_tile_is_not_cut():
    net = model("reference")
    assert tiles.choose(net, 100, 64, 100) == 0
    assert tiles.choose(net, 64, 101, 100) == 100


def test_what_has_no_tiles():
    with pytest.raises(InputError, match="cannot work in tiles on 101x100"):
        tiles.run(model("reference"), photo(100, 101), 64)


def test_on_the_command_line(tmp_path, capsys):
    net = model("resize")
    net_file.save(
        tmp_path / "net.safetensors", net.config, net.params, net.stats, {"task": "style"}
    )
    images.save_image(tmp_path / "in.png", photo(132, 168))
    outputs = []
    for name, tile in (("whole", "0"), ("tiled", "64")):
        given = [
            "stylize",
            tmp_path / "in.png",
            "--style",
            tmp_path / "net.safetensors",
            "-o",
            tmp_path / f"{name}.png",
        ]
        assert (
            cli.main([*map(str, given), "--tile", tile, "--strength", "0.5", "--preserve-color"])
            == 0
        )
        outputs.append(images.load_uint8(tmp_path / f"{name}.png").astype(int))
    assert np.abs(outputs[0] - outputs[1]).max() <= 1
    assert "statistics of blocks.1.norm2, 9 tiles" in capsys.readouterr().err
    assert cli.main(["stylize", str(tmp_path / "in.png"), "--tile", "8"]) == 2
    assert "--tile 8 is not allowed" in capsys.readouterr().err
