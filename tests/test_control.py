"""Strength, kept colours and grain: exact at their ends and in between in the middle, for files,
styles and batches.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import noise, thin

from jaxpercept import cli, config, images, losses
from jaxpercept.errors import InputError
from jaxpercept.images import samples
from jaxpercept.inference.model import load_model
from jaxpercept.nets import net_file, shipped, transform_net, vgg

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def test_the_ends_are_exact():
    content, output = noise(0, 20, 24), noise(1, 20, 24)
    assert images.controlled(output, content) is output
    np.testing.assert_array_equal(images.controlled(output, content, strength=0.0), content)
    colored = images.preserve_color(output, content)
    np.testing.assert_array_equal(images.controlled(output, content, keep_color=True), colored)
    np.testing.assert_array_equal(
        images.controlled(output, content, keep_color=True, strength=0.0), content
    )
    half = images.controlled(output, content, keep_color=True, strength=0.5)
    np.testing.assert_allclose(half, (colored + content) / 2, atol=1e-6)
    assert half.dtype == np.float32
    grey = images.controlled(
        content[..., :1].repeat(3, -1), content[..., :1].repeat(3, -1), keep_color=True
    )
    np.testing.assert_allclose(grey, content[..., :1].repeat(3, -1), atol=1e-6)


def test_preserve_color_keeps_the_contents_chroma():
    content, other = 0.25 + 0.5 * noise(0, 20, 24), 0.25 + 0.5 * noise(1, 20, 24)
    mixed = images.preserve_color(other, content)
    inside = ((mixed > 0) & (mixed < 1)).all(-1)
    assert inside.mean() > 0.9
    np.testing.assert_allclose((mixed @ LUMA)[inside], (other @ LUMA)[inside], atol=1e-5)
    chroma = [(x - (x @ LUMA)[..., None])[inside] for x in (mixed, content)]
    np.testing.assert_allclose(*chroma, atol=1e-5)


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan")])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(InputError, match=r"^strength .* is not allowed; give 0 .the photo. to 1"):
        images.controlled(noise(0, 4, 4), noise(1, 4, 4), strength=strength)
    with pytest.raises(ValueError, match="of one shape"):
        images.controlled(noise(0, 4, 4), noise(1, 4, 5))


def test_the_style_loss_falls_with_strength():
    """Uses the shipped net, and compares with its output for another photo at full strength."""
    photos = samples.sample_photos()
    content, other = (images.resize(photos[name], (64, 96)) for name in ("chelsea", "coffee"))
    model, phi = load_model(shipped.styles()[0]), vgg.load_vgg16()
    output, target = np.asarray(model(np.stack([content, other])))
    mixtures = [images.controlled(output, content, strength=s) for s in (0, 0.25, 0.5, 0.75, 1)]

    @jax.jit
    def style_losses(phi, x):
        features = vgg.vgg_features(phi, x, config.STYLE_LAYERS)
        grams = [losses.gram_matrix(features[name]) for name in config.STYLE_LAYERS]
        return [losses.style_loss(g[:-1], g[-1:], convention="reference") for g in grams]

    values = np.sum(style_losses(phi, jnp.asarray(np.stack([*mixtures, target]))), axis=0)
    assert (np.diff(values) < 0).all()
    assert values[-1] < 0.5 * values[0]


@pytest.fixture
def styles(tmp_path):
    """Two tiny nets with random weights."""
    net = thin()
    for seed in (1, 2):
        net_file.save(
            tmp_path / f"s{seed}.safetensors", net, *transform_net.init(net, seed=seed), {}
        )
    return [str(tmp_path / f"s{seed}.safetensors") for seed in (1, 2)]


def test_files_styles_and_batches(styles, tmp_path):
    """Uses images of two sizes, batches cut short and two styles: every output is mixed with its
    own photo."""
    sizes = [(20, 24), (17, 18), (20, 24), (20, 24)]
    for i, size in enumerate(sizes):
        images.save_image(tmp_path / "in" / f"{i}.png", noise(i, *size))

    def run(folder, *options):
        words = ["stylize", str(tmp_path / "in"), "--style", *styles, "-o", str(tmp_path / folder)]
        assert cli.main([*words, "--batch-size", "2", *options]) == 0
        return {p.name: images.load_uint8(p) for p in (tmp_path / folder).iterdir()}

    plain, none, half, full = (
        run(f"o{i}", *o)
        for i, o in enumerate(([], ["--strength", "0"], ["--strength", "0.5"], ["--strength", "1"]))
    )
    assert len(plain) == len(none) == 8
    for i in range(4):
        content = images.load_uint8(tmp_path / "in" / f"{i}.png")
        for style in ("s1", "s2"):
            name = f"{i}_{style}.png"
            np.testing.assert_array_equal(none[name], content)
            np.testing.assert_array_equal(full[name], plain[name])
            middle = (content.astype(float) + plain[name]) / 2
            np.testing.assert_allclose(half[name], middle, atol=1)
    colored = run("color", "--preserve-color")["2_s1.png"]
    content, output = (
        images.load_image(tmp_path / "in" / "2.png"),
        images.to_float(plain["2_s1.png"]),
    )
    np.testing.assert_allclose(
        images.to_float(colored), images.preserve_color(output, content), atol=2 / 255
    )


def test_grain_is_the_same_noise_for_bytes_and_floats():
    even = np.full((600, 50, 3), 0.4, np.float32)  # more than a strip
    assert images.grain(even, 0) is even
    grained = images.grain(even, 0.02)
    np.testing.assert_array_equal(
        images.to_uint8(grained), images.grain(images.to_uint8(even), 0.02)
    )
    np.testing.assert_array_equal(grained, images.grain(even, 0.02))
    noise = grained - images.to_float(images.to_uint8(even))
    assert abs(noise.mean()) < 2e-4
    np.testing.assert_allclose(noise.std((0, 1)), 0.02, rtol=0.03)
    assert abs(np.corrcoef(noise[:256].ravel(), noise[256:512].ravel())[0, 1]) < 0.02
    assert images.grain(np.ones((8, 8, 3), np.float32), 0.1).max() == 1


@pytest.mark.parametrize("moved", [(3, -2), (-70, 0), (0, 1300)])
def test_grain_can_be_moved(moved):
    even = np.full((600, 50, 3), 100, np.uint8)
    right, down = moved
    there = np.roll(images.grain(even, 0.02), (down, right), (0, 1))
    np.testing.assert_array_equal(images.grain(even, 0.02, moved), there)
    even[300:] = 150  # the image itself stays where it is
    apart = images.grain(even, 0.02, moved).astype(int) - even
    np.testing.assert_array_equal(apart, there.astype(int) - 100)


@pytest.mark.parametrize("name", shipped.singles())
def test_grain_gives_even_surfaces_their_strokes(name, tmp_path):
    """Uses a small photo in the middle of a white page, whose corner is out of the photo's
    reach."""
    page = np.ones((288, 288, 3), np.float32)
    page[132:156, 132:156] = images.square(samples.sample_photos()["chelsea"], 24)
    images.save_image(tmp_path / "page.png", page)

    def strokes(*options):
        given = [
            "stylize",
            str(tmp_path / "page.png"),
            "--style",
            name,
            "-o",
            str(tmp_path / "out.png"),
            *options,
        ]
        assert cli.main(given) == 0
        return images.load_image(tmp_path / "out.png")[:48, :48].std((0, 1)).mean()

    assert strokes("--grain", "0") < 0.01
    assert strokes() > 0.03


def test_the_command_line_refuses_in_one_line(styles, tmp_path, capsys):
    images.save_image(tmp_path / "a.png", noise(0, 20, 24))
    for option in ("--strength", "--grain"):
        assert (
            cli.main(["stylize", str(tmp_path / "a.png"), "--style", styles[0], option, "1.5"]) == 2
        )
        said = capsys.readouterr().err
        assert f"{option} 1.5 is not allowed" in said
        assert said.count("\n") == 1
