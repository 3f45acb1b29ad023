"""Optimisation of images minimises training's objective, counts its evaluations, and keeps images
apart.
"""

import importlib.util
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpercept import images
from jaxpercept.config import ObjectiveConfig
from jaxpercept.errors import InputError
from jaxpercept.evaluation import metrics
from jaxpercept.images import samples
from jaxpercept.losses import objective
from jaxpercept.losses.terms import LossTerm
from jaxpercept.nets import vgg
from jaxpercept.synthesis import minimize, run, stage
from jaxpercept.synthesis.settings import SynthesisConfig, check_size

LAYERS = ("relu1_1", "relu1_2")


@pytest.fixture(scope="module")
def phi():
    return vgg.load_vgg16()


@pytest.fixture(scope="module")
def photos():
    return [images.square(x, 24) for x in samples.sample_photos().values()][:2]


@pytest.fixture(scope="module")
def style():
    return samples.drawn_style(size=32)


def config_of(weights=None, losses="reference", **kwargs):
    weights = {"content": 1.0, "style": 5.0, "tv": 1e-6} if weights is None else weights
    made = ObjectiveConfig(
        losses=losses, weights=weights, content_layers=LAYERS[1:], style_layers=LAYERS
    )
    return SynthesisConfig(
        **{"objective": made, "iterations": (6,), "init": "noise", "report_every": 3, **kwargs}
    )


def evaluated(phi, config, outputs, photos, style):
    """Returns training's own objective."""
    terms, convention = objective.make_terms(config.objective), config.objective.losses
    evaluate = jax.jit(partial(objective.evaluate, terms, convention=convention, batch=1))
    grams = run.style_grams(phi, [style], None, LAYERS, 24)
    return evaluate(phi, grams, jnp.asarray(outputs), jnp.asarray(np.stack(photos)))


@pytest.mark.parametrize(
    ("losses", "clip"),
    [
        ("paper", False),
        ("reference", True),
        pytest.param("paper", True, marks=pytest.mark.slow),
        pytest.param("reference", False, marks=pytest.mark.slow),
    ],
)
def test_the_last_loss_is_the_objective_of_the_images(phi, photos, style, losses, clip):
    config = config_of(losses=losses, clip=clip)
    result = run.synthesize(config, photos, [style], vgg_params=phi)
    values = evaluated(phi, config, result.images, photos, style)
    # The loss that L-BFGS reports is true, although with clipping it saw the value elsewhere on the
    # line.
    np.testing.assert_allclose(result.losses[0][:, -1], values["loss"], rtol=1e-5)
    assert (np.diff(result.losses[0]) <= 0).all()
    assert (result.losses[0][:, -1] < 0.5 * result.losses[0][:, 0]).all()
    assert result.losses[0].shape == result.evaluations[0].shape == (2, 7)
    inside = (result.images.min() >= 0) and (result.images.max() <= 1)
    assert inside == clip


def test_images_of_a_batch_do_not_touch_each_other(phi, photos, style):
    both = run.synthesize(config_of(init="content"), photos, [style], vgg_params=phi)
    alone = run.synthesize(config_of(init="content"), photos[1:], [style], vgg_params=phi)
    np.testing.assert_allclose(both.images[1], alone.images[0], atol=2e-4)
    np.testing.assert_array_equal(both.evaluations[0][1], alone.evaluations[0][0])


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_every_evaluation_is_counted(phi, photos, optimizer):
    calls = []

    def counted(inputs):
        jax.debug.callback(lambda _: calls.append(1), inputs.output[0, 0, 0, 0])
        return jnp.square(inputs.output - inputs.target).sum((1, 2, 3)) + jnp.abs(
            inputs.output**3
        ).sum((1, 2, 3))

    config = config_of({"tv": 1.0}, optimizer=optimizer, iterations=(7,))
    terms = [LossTerm("counted", counted)]
    result = run.synthesize(config, photos[:1], terms=terms, vgg_params=phi)
    jax.effects_barrier()
    assert len(calls) == result.evaluations[0][0, -1] >= 8


def test_compiled_once_whatever_the_last_chunk(phi, photos, style, monkeypatch):
    made, make = [], minimize.make_minimizer
    monkeypatch.setattr(stage, "make_minimizer", lambda *a: made.append(make(*a)) or made[-1])
    run.synthesize(config_of(iterations=(7,)), photos[:1], [style], vgg_params=phi)
    assert made[0].run._cache_size() == made[0].init._cache_size() == 1


@pytest.mark.parametrize("layer", ["relu1_2", "relu2_2"])
def test_inverting_gives_back_the_image(phi, photos, layer):
    made = ObjectiveConfig(weights={"content": 1.0}, content_layers=(layer,))
    seen = []
    run.synthesize(
        SynthesisConfig(objective=made, init="grey", iterations=(40,), report_every=10),
        photos[:1],
        vgg_params=phi,
        progress=lambda p: (
            seen.append(float(metrics.psnr(np.clip(p.images[0], 0, 1), photos[0]))) and False
        ),
    )
    assert all(b > a for a, b in itertools.pairwise(seen)), seen
    assert seen[-1] > (30 if layer == "relu1_2" else 20)


def test_adam_lowers_the_loss_within_the_range(phi, photos, style):
    result = run.synthesize(config_of(optimizer="adam", clip=True), photos, [style], vgg_params=phi)
    assert (result.losses[0][:, -1] < result.losses[0][:, 0]).all()
    assert (result.evaluations[0][0] == np.arange(1, 8)).all()


def test_coarse_to_fine_starts_from_the_last_size(phi, photos, style):
    frames = []
    config = config_of(sizes=(12, 24), iterations=(4, 2), save_every=2, report_every=4)
    result = run.synthesize(
        config, photos, [style], vgg_params=phi, progress=lambda p: frames.append(p) and False
    )
    assert [(p.height, p.iteration, p.save) for p in frames] == [
        (12, 2, True),
        (12, 4, True),
        (24, 2, True),
    ]
    assert result.images.shape == (2, 24, 24, 3)
    first = np.stack([images.resize(np.clip(x, 0, 1), (24, 24)) for x in frames[1].images])
    values = evaluated(phi, config, first, photos, style)
    np.testing.assert_allclose(result.losses[1][:, 0], values["loss"], rtol=1e-5)


def test_styles_are_averaged_with_their_weights(phi, style):
    one, two = (run.style_grams(phi, [x], None, LAYERS, 24) for x in (style, 1 - style))
    both = run.style_grams(phi, [style, 1 - style], [3.0, 1.0], LAYERS, 24)
    for name in LAYERS:
        np.testing.assert_allclose(both[name], 0.75 * one[name] + 0.25 * two[name], rtol=1e-5)
    with pytest.raises(InputError, match="at least 0 for each of the 2 style images"):
        run.style_grams(phi, [style, style], [1.0], LAYERS, 24)
    with pytest.raises(InputError, match="not 0 for all"):
        run.style_grams(phi, [style], [0.0], LAYERS, 24)


def test_starts_are_what_they_say(photos):
    targets = np.stack(photos)
    grey = run._start(config_of(init="grey", seed=3), targets)
    assert np.abs(grey - 0.5).max() <= 0.01
    noise = run._start(config_of(), targets)
    assert not np.array_equal(noise[0], noise[1])
    np.testing.assert_array_equal(noise[1:], run._start(config_of(), targets)[1:])
    with pytest.raises(InputError, match="choose content, noise, grey"):
        run._start(config_of(init="gray"), targets)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"optimizer": "sgd"}, "lbfgs, adam"),
        ({"iterations": (0,)}, "^iterations 0 is not allowed; give at least 1"),
        ({"iterations": (1, 2)}, "2 numbers for 1 size;"),
        ({"sizes": (1,)}, "^sizes 1 is not allowed; give at least 2"),
        ({"report_every": 0}, "^report_every 0 is not allowed; give at least 1"),
        ({"learning_rate": 0.0}, "^learning_rate 0 is not allowed; give more than 0"),
        ({"style_size": 1}, "^style_size 1 is not allowed; give at least 2, or 0"),
    ],
)
def test_settings_out_of_range(kwargs, message):
    with pytest.raises(InputError, match=message):
        config_of(**kwargs)


def test_small_images_name_the_layers_that_fit(phi, photos):
    with pytest.raises(
        InputError, match=r"24x7 is too small for relu4_3; the layers that fit: relu1_1, .*relu3_3;"
    ):
        check_size("x.jpg", 7, 24, ("relu1_2", "relu4_3"))
    made = ObjectiveConfig(weights={"content": 1.0}, content_layers=("relu5_1",))
    with pytest.raises(InputError, match="too small for relu5_1"):
        run.synthesize(SynthesisConfig(objective=made, sizes=(12,)), photos, vgg_params=phi)


@pytest.mark.parametrize(
    ("sizes", "what", "fix"),
    [
        ({"sizes": (300_000,)}, "", "give smaller sizes"),
        ({"style_size": 300_000}, "a style image of ", "give a smaller style_size"),
    ],
)
def test_sizes_far_beyond_the_memory_are_refused(phi, photos, style, sizes, what, fix):
    terms = objective.make_terms(config_of().objective)
    needed = rf"^{what}300000x300000 needs at least 9.22e\+04 GB of memory"
    with pytest.raises(InputError, match=f"{needed}, and .* GB are left; {fix}$"):
        run.try_sizes(config_of(**sizes), terms, phi, photos[0], [style])


def test_a_batch_is_taken_wherever_a_list_of_images_is(phi, photos, style):
    batch = np.stack(photos)
    config = config_of(iterations=(1,))
    listed = run.synthesize(config, photos, [style, style], start=photos, vgg_params=phi)
    stacked = run.synthesize(config, batch, np.stack([style, style]), start=batch, vgg_params=phi)
    np.testing.assert_array_equal(stacked.images, listed.images)


def test_what_is_no_image_is_refused(phi, photos, style):
    config = config_of()
    with pytest.raises(InputError, match=r"a content of \(\) and str: give images \(H, W, 3\)"):
        run.synthesize(config, ["photo.jpg"], [style], vgg_params=phi)
    with pytest.raises(InputError, match=r"a style image of \(32, 32, 3\) and list"):
        run.synthesize(config, photos, [style.tolist()], vgg_params=phi)


def test_a_texture_without_an_image_of_its_size_is_refused(phi, style):
    with pytest.raises(InputError, match="no contents; give an image for each"):
        run.synthesize(config_of(), [], [style], vgg_params=phi)


def test_a_loss_that_is_not_finite_stops(phi, photos):
    terms = [LossTerm("root", lambda inputs: jnp.sqrt(inputs.target - 0.9).sum((1, 2, 3)))]
    contents = [np.ones((8, 8, 3), np.float32), photos[0][:8, :8]]
    with pytest.raises(FloatingPointError, match="image 2 is not finite at iteration 0"):
        run.synthesize(config_of(), contents, terms=terms, vgg_params=phi)


@pytest.mark.slow
def test_as_good_as_torch_at_equal_evaluations(root, tmp_path):
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("lbfgs", root / "benchmarks" / "lbfgs.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    result = benchmark.main(
        [
            "--size",
            "24",
            "--images",
            "2",
            "--evaluations",
            "10",
            "25",
            "--threads",
            "1",
            "--json",
            str(tmp_path / "r"),
        ]
    )
    for row in result["rows"]:
        assert row["start"] == pytest.approx(row["torch_start"], rel=1e-5)
        assert row["at"][25]["evaluations"] <= 25
        assert row["at"][25]["torch_evaluations"] == 25
    assert result["median"][25]["loss_ratio"] < 1.1
