"""Enlarging: tiles equal the whole for every kind of net, sizes are exact, transparency and grey
are kept.
"""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

from jaxpercept import images
from jaxpercept.config import NET_PRESETS, superres_net
from jaxpercept.errors import InputError
from jaxpercept.images import resampling
from jaxpercept.inference import tiles, treatment
from jaxpercept.inference.flow import Task, process
from jaxpercept.inference.model import Model
from jaxpercept.inference.treatment import Treatment
from jaxpercept.nets import geometry, transform_net

BEST = dataclasses.replace(superres_net(4).scaled(0.15), blocks=2)
NETS = {
    "best x4": BEST,
    "best x8": dataclasses.replace(superres_net(8).scaled(0.15), blocks=1),
    "paper x2": dataclasses.replace(superres_net(2, "paper").scaled(0.1), blocks=2),
    "paper x4": dataclasses.replace(superres_net(4, "paper").scaled(0.1), blocks=1),
    "nearest, reflected": dataclasses.replace(
        superres_net(4, "paper").scaled(0.1),
        blocks=1,
        upsample="nearest",
        padding="reflect",
        norm="none",
    ),
    "subpixel": dataclasses.replace(
        superres_net(2, "paper").scaled(0.1), blocks=1, upsample="subpixel"
    ),
}


def model(net, name="x4-tiny"):
    """Returns a net with random weights and statistics."""
    params, stats = transform_net.init(net, seed=3)
    random = np.random.default_rng(0)
    stats = {k: random.uniform(0.5, 1.5, v.shape).astype(np.float32) for k, v in stats.items()}
    return Model(name, net, params, stats, {})


def upscale(net, paths, name, **options):
    """Processes files as `upscale` does; `name` gives their targets."""
    plain = {"skip_existing": options.pop("skip_existing", False)}
    tasks = [Task(path, str(path), name(path)) for path in paths]
    return process(tasks, Treatment(keep_grey=True, **options), net, **plain)


def noise(*size):
    return np.random.default_rng(1).random((*size, 3), np.float32)


@pytest.fixture(scope="module")
def tiny():
    return model(BEST)


@pytest.mark.parametrize("kind", list(NETS))
def test_tiles_equal_the_whole(kind):
    net, x = model(NETS[kind]), noise(53, 45)
    whole = tiles.run(net, x, tile=0)
    assert whole.shape == (53 * net.config.scale, 45 * net.config.scale, 3)
    tiled = tiles.run(net, x, tile=16)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    assert (whole != tiled).mean() < 1e-3


@pytest.mark.parametrize("kind", ["best x4", "paper x4", "subpixel"])
def test_reach_is_where_the_gradient_ends(kind):
    net = NETS[kind]
    params, stats = transform_net.init(net)
    params = {
        k: 0.05 * abs(v) if k.endswith("kernel") else v for k, v in params.items()
    }  # no ReLU is off
    at = slice(20 * net.scale, 21 * net.scale)

    @jax.jit
    @jax.grad
    def gradient(x):
        return transform_net.apply(net, params, stats, x)[0][:, at, at].sum()

    read = np.flatnonzero(
        np.asarray(gradient(np.full((1, 41, 41, 3), 0.9, np.float32)))[0].any((1, 2))
    )
    assert max(20 - read[0], read[-1] - 20) in (geometry.reach(net), geometry.reach(net) - 1)


def test_large_images_are_tiled_by_themselves_in_one_shape(tiny, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_OUTPUT", 4 * 16)
    shapes, call = set(), Model.__call__
    monkeypatch.setattr(Model, "__call__", lambda self, x: shapes.add(x.shape) or call(self, x))
    tiles.run(tiny, noise(60, 45))
    side = 16 + 2 * geometry.reach(BEST)
    assert shapes == {(1, side, side, 3)}
    tiles.run(tiny, noise(32, 32))
    assert (1, 32, 32, 3) in shapes


def test_a_net_that_sees_everything_is_not_tiled():
    net = model(dataclasses.replace(BEST, norm="instance"))
    assert not geometry.seamless(net.config)
    assert not geometry.seamless(NET_PRESETS["resize"])
    with pytest.raises(InputError, match="cannot work in tiles"):
        tiles.run(net, noise(40, 40), tile=16)


def test_transparency_is_scaled_apart(tiny, tmp_path):
    rgb, alpha = noise(12, 16), noise(12, 16)[..., 0]
    path = images.save_image(tmp_path / "a.png", rgb, alpha=alpha)
    job = upscale(tiny, [path], lambda p: tmp_path / "out" / p.name)
    made = images.read(job.written[0])
    out, alpha_out = made.pixels, made.alpha
    assert out.shape == (48, 64, 3)
    rounded = images.to_float(images.to_uint8(alpha))
    expected = np.clip(resampling.upscale(rounded[..., None], 4)[..., 0], 0, 1)
    np.testing.assert_allclose(alpha_out, expected, atol=0.51 / 255)


def test_grey_palette_and_16_bits(tiny, tmp_path):
    grey = images.to_uint8(noise(20, 24)[..., 0])
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(images.to_uint8(noise(20, 24))).quantize(32).save(tmp_path / "palette.png")
    paths = [tmp_path / f"{n}.png" for n in ("grey", "deep", "palette")]
    upscale(tiny, paths, lambda p: tmp_path / "out" / p.name)
    grey, deep, palette = (images.read(tmp_path / "out" / path.name) for path in paths)
    for output in (grey, deep, palette):
        assert output.pixels.shape == (80, 96, 3)
        assert output.alpha is None
    assert (grey.grey, deep.grey, palette.grey) == (True, True, False)
    assert (grey.bits, deep.bits) == (8, 16)
    np.testing.assert_allclose(grey.pixels, deep.pixels, atol=1.01 / 255)


def test_histograms_follow_the_input(tiny, tmp_path):
    path = images.save_image(tmp_path / "dark.png", noise(24, 24) ** 2)
    rgb = images.to_uint8(images.load_image(path))
    upscale(tiny, [path], lambda p: tmp_path / "plain.png")
    upscale(tiny, [path], lambda p: tmp_path / "matched.png", match_histogram=True)
    plain, matched = (images.load_uint8(tmp_path / f"{n}.png") for n in ("plain", "matched"))

    def apart(output):
        return np.abs(
            np.quantile(output, [0.1, 0.5, 0.9], (0, 1)) - np.quantile(rgb, [0.1, 0.5, 0.9], (0, 1))
        ).max()

    assert apart(matched) < apart(plain)  # no value moves farther than the net moved it


def test_matching_keeps_sixteen_bits():
    pixels = np.repeat(noise(12, 12)[..., :1] ** 2, 3, -1)
    picture = images.Picture(pixels=pixels, grey=True, bits=16)
    output = np.sqrt(treatment.enlarged(pixels, 2))
    made = treatment.finish(Treatment(match_histogram=True), picture, output)
    assert made.bits == 16
    assert np.unique(images.to_float(made.pixels)).size > 256
    want, before, after = (np.median(x) for x in (pixels, output, made.pixels))
    assert abs(after - want) < 0.25 * abs(before - want)


def test_matching_spares_pictures_of_few_colours(tiny, tmp_path):
    code = np.repeat(np.random.default_rng(0).integers(0, 2, (10, 10)), 3, 0).repeat(3, 1) * 255
    picture = images.Picture(pixels=np.repeat(code[..., None], 3, -1).astype(np.uint8))
    bicubic = images.to_uint8(treatment.enlarged(picture.pixels, 4)).astype(int)
    grey = np.clip(bicubic + np.random.default_rng(1).integers(-3, 4, bicubic.shape), 0, 255)
    how = Treatment(match_histogram=True)
    made = treatment.finish(how, picture, grey.astype(np.uint8)).pixels.astype(int)
    assert (abs(made - grey) <= abs(grey - bicubic)).all()
    assert abs(made - bicubic).mean() < 5


def test_what_is_transparent_does_not_count_in_matching():
    x = images.to_uint8(noise(20, 20) * 0.5)
    low = images.to_uint8(noise(10, 10) * 0.6)
    alpha, small = np.full((20, 20), 255, np.uint8), np.full((10, 10), 255, np.uint8)
    alpha[10:], small[5:] = 0, 0
    expected = images.match_histogram(x[:10], low[:5])
    found = images.match_histogram(x, low, alpha, small)
    np.testing.assert_allclose(found[:10], expected, atol=1e-6)
    nothing = images.match_histogram(x, low, alpha * 0, small)
    np.testing.assert_array_equal(images.to_uint8(nothing), x)


def test_8_bit_matching_is_the_same_as_in_floating_point():
    x, reference = images.to_uint8(noise(30, 40)), images.to_uint8(noise(20, 20) ** 2)
    fast = images.match_histogram(x, reference)
    slow = images.match_histogram(images.to_float(x), images.to_float(reference))
    np.testing.assert_allclose(fast, slow, atol=1e-5)


def test_what_cannot_be_saved_does_not_stop_the_rest(tiny, tmp_path):
    paths = [images.save_image(tmp_path / f"{n}.png", noise(9, 9)) for n in "ab"]
    (tmp_path / "file").write_text("")
    job = upscale(tiny, paths, lambda p: tmp_path / ("file" if p.stem == "a" else "out") / p.name)
    assert [p.name for p in job.written] == ["b.png"]
    assert len(job.failed) == 1


def test_a_result_that_its_format_cannot_hold_does_not_stop_the_rest(tmp_path):
    """WebP holds at most 16,383 pixels per side."""
    net = model(NETS["subpixel"])
    wide = images.save_image(tmp_path / "wide.webp", noise(16, 8_200))
    good = images.save_image(tmp_path / "good.webp", noise(16, 18))
    job = upscale(net, [wide, good], lambda p: tmp_path / "out" / p.name)
    assert [p.name for p in job.written] == ["good.webp"]
    (line,) = job.failed
    assert line.endswith(
        "wide.webp: 16400x32 is too large for WEBP, which holds 16,383 pixels per side; "
        "write it as .png"
    )
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good.webp"]


def test_what_is_there_is_left_alone(tiny, tmp_path):
    paths = [images.save_image(tmp_path / f"{i}.png", noise(9, 10)) for i in range(3)]
    out = tmp_path / "out"
    images.save_image(out / "1.png", noise(2, 2))
    job = upscale(tiny, paths, lambda p: out / p.name, skip_existing=True)
    assert [p.name for p in job.skipped] == ["1.png"]
    assert [p.name for p in job.written] == ["0.png", "2.png"]
    assert images.size_of(out / "1.png") == (2, 2)
    expected = tiles.run(tiny, images.load_image(paths[2]))
    assert np.array_equal(images.to_uint8(images.load_image(out / "2.png")), expected)
