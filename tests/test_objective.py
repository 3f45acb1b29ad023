"""Terms compose: weights, conventions, custom terms, and no tracing without need."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpercept import config, losses
from jaxpercept.config import ObjectiveConfig
from jaxpercept.errors import InputError
from jaxpercept.losses import objective, terms
from jaxpercept.losses.terms import LossTerm
from jaxpercept.nets import vgg


@pytest.fixture(scope="module")
def phi():
    return vgg.load_vgg16()


@pytest.fixture(scope="module")
def pair():
    output, target = jax.random.uniform(jax.random.key(0), (2, 2, 32, 32, 3))
    return output, target


@pytest.fixture(scope="module")
def grams(phi):
    style = jax.random.uniform(jax.random.key(1), (1, 48, 32, 3))
    return jax.jit(lambda phi: objective.style_targets(phi, style, ("relu1_2", "relu2_2")))(phi)


def evaluated(made, *arrays, **kwargs):
    """Evaluates in one program: hundreds of single operations take longer to compile."""
    names = []

    def run(*arrays):
        values = objective.evaluate(made, *arrays, **kwargs)
        names.extend(values)
        return values

    values = jax.jit(run)(*arrays)
    return {name: values[name] for name in names}  # jit sorts them


def config_of(**kwargs):
    return ObjectiveConfig(**{"style_layers": ("relu1_2", "relu2_2"), **kwargs})


def test_every_line_of_the_table_has_its_function():
    assert all(callable(getattr(terms, spec.name)) and spec.help for spec in config.TERMS)


def test_loss_is_the_sum_of_the_weighted_terms(phi, grams, pair):
    made = objective.make_terms(
        config_of(weights={"content": 2.0, "style": 3.0, "tv": 1e-3, "pixel": 0.5})
    )
    values = evaluated(made, phi, grams, *pair)
    assert list(values) == ["loss", "content", "style", "tv", "pixel"]
    np.testing.assert_allclose(
        values["loss"], sum(np.asarray(values[n]) for n in list(values)[1:]), rtol=1e-6
    )
    relu2_2 = jax.jit(lambda phi, x: vgg.vgg_features(phi, x, ["relu2_2"])["relu2_2"])
    features = [relu2_2(phi, x) for x in pair]
    np.testing.assert_allclose(values["content"], 2 * losses.feature_loss(*features), rtol=1e-5)
    np.testing.assert_allclose(values["pixel"], 0.5 * 255**2 * losses.pixel_loss(*pair), rtol=1e-5)


def test_the_reference_convention_sums_tv_over_the_batch_and_averages_the_gram_entries(
    phi, grams, pair
):
    weights = {"style": 1.0, "tv": 1.0}
    both = {}
    for name in ("paper", "reference"):
        made = objective.make_terms(config_of(losses=name, weights=weights))
        both[name] = evaluated(made, phi, grams, *pair, convention=name, batch=6)
    np.testing.assert_allclose(both["reference"]["tv"], 0.5 * 6 * both["paper"]["tv"], rtol=1e-6)
    assert (both["reference"]["style"] < both["paper"]["style"] / 64**2 * 1.001).all()


def test_a_zero_weight_is_not_traced_and_needs_no_features(phi, pair):
    made = objective.make_terms(config_of(weights={"content": 1.0, "style": 0.0}))
    assert [t.name for t in made] == ["content"]
    text = str(jax.make_jaxpr(lambda a, b: objective.evaluate(made, phi, {}, a, b))(*pair))
    assert "256,256" not in text  # nothing of block 3


def test_a_term_from_a_notebook_needs_no_registration(phi, pair):
    def laplacian(inputs):
        return jnp.square(inputs.output - inputs.target)[:, 1:-1].mean((1, 2, 3))

    values = objective.evaluate([LossTerm("laplacian", laplacian, 2.0)], phi, {}, *pair)
    np.testing.assert_allclose(values["loss"], 2 * laplacian(terms.LossInputs(*pair, {}, {}, {})))


def mean_of(inputs):
    return inputs.output.mean((1, 2, 3))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"name": "step"}, "'step': a logged line has another value of this name"),
        ({"name": "input_wait"}, "give a name other than step, loss, images_per_s"),
        ({"name": ""}, "must be a text to print"),
        ({"name": "a\nb"}, "must be a text to print"),
        ({"weight": float("nan")}, "'own': its weight nan is not allowed"),
        ({"weight": -1}, "a finite number of at least 0"),
        ({"weight": "2"}, "its weight '2' is not allowed"),
        ({"weight": np.ones(2)}, "is not allowed; give a finite number"),
        ({"features": ("relu1_9",)}, "'own': VGG-16 layer 'relu1_9' is not known; did you mean"),
    ],
)
def test_a_term_that_cannot_be_is_refused_where_it_is_made(kwargs, message):
    with pytest.raises(InputError, match=message):
        LossTerm(**{"name": "own", "fn": mean_of, **kwargs})


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.array(0.5), "jax", 1])
def test_a_weight_is_kept_as_a_number_of_python(number):
    weight = LossTerm("own", mean_of, jnp.float32(0.5) if number == "jax" else number).weight
    assert type(weight) is float
    assert weight == (1 if number == 1 and not hasattr(number, "dtype") else 0.5)


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (
            lambda inputs: inputs.output.mean(),
            r"'own' returned float32\(\); .*one number per image",
        ),
        (lambda inputs: inputs.output.shape[0], "'own' returned 2; it must return"),
        (lambda inputs: jnp.zeros(2, jnp.int32), r"'own' returned int32\(2,\)"),
        (
            lambda inputs: inputs.features["relu1_2"],
            "'own' reads relu1_2, which it did not ask for",
        ),
        (lambda inputs: inputs.style_grams["relu3_3"], "'own' reads relu3_3"),
    ],
)
def test_a_term_that_reads_or_returns_what_it_must_not_is_named(phi, pair, fn, message):
    with pytest.raises(InputError, match=message):
        objective.evaluate([LossTerm("own", fn)], phi, {}, *pair)


def test_a_term_that_reads_a_view_it_did_not_ask_for(phi):
    def fn(inputs):
        return inputs.second.output.mean((1, 2, 3))

    with pytest.raises(InputError, match=r"'a' reads 'output' of None; .*second_view=True"):
        objective.try_terms([terms.LossTerm("a", fn)], phi, {}, (16, 16))
    asked = terms.LossTerm("a", fn, second_view=True)
    objective.try_terms([asked], phi, {}, (16, 16), two_views=True)


def test_a_term_on_images_that_are_too_small(phi):
    made = objective.make_terms(config.ObjectiveConfig(weights={"dark": 1.0}))
    objective.try_terms(made, phi, {}, (16, 16))
    with pytest.raises(InputError, match=r"^images of 8x12: dark_loss: .* of at least 16x16"):
        objective.try_terms(made, phi, {}, (12, 8))


@pytest.mark.parametrize("given", [[lambda inputs: 0], ["content"]])
def test_terms_are_loss_terms(given):
    with pytest.raises(InputError, match=r"is not a LossTerm; give LossTerm\(name, fn\)"):
        objective.chosen(config_of(weights={"tv": 1.0}), given)


@pytest.mark.parametrize("given", [lambda inputs: 0, LossTerm("tv", terms.tv)])
def test_terms_are_a_list(given):
    with pytest.raises(InputError, match=r"is not a list; give a list, \[LossTerm\(name, fn\)\]"):
        objective.chosen(config_of(weights={"tv": 1.0}), given)


def test_an_error_in_a_term_of_the_users_names_the_term(phi, pair):
    with pytest.raises(TypeError) as caught:
        objective.evaluate([LossTerm("own", lambda inputs: None + 1)], phi, {}, *pair)
    assert caught.value.__notes__ == ["in the loss term 'own'"]


def test_terms_that_do_not_go_together_are_refused(phi, pair):
    with pytest.raises(InputError, match="two loss terms are named 'tv'"):
        objective.evaluate([LossTerm("tv", terms.tv), LossTerm("tv", terms.tv)], phi, {}, *pair)
    with pytest.raises(InputError, match="every loss term has the weight 0"):
        objective.evaluate([LossTerm("tv", terms.tv, 0)], phi, {}, *pair)
    with pytest.raises(
        InputError, match="'style' needs the style's Gram matrices at relu1_2, relu"
    ):
        objective.evaluate(objective.make_terms(config_of(weights={"style": 1.0})), phi, {}, *pair)


def test_a_users_term_may_be_called_style_and_asks_for_its_layers(phi, grams, pair):
    plain = objective.evaluate([LossTerm("style", mean_of)], phi, {}, *pair)
    np.testing.assert_allclose(plain["style"], pair[0].mean((1, 2, 3)), rtol=1e-6)

    def size(inputs):
        return mean_of(inputs) * inputs.style_grams["relu2_2"].sum()

    own = LossTerm("size", size, style_grams=("relu2_2",))
    found = objective.evaluate([own], phi, grams, *pair)
    np.testing.assert_allclose(
        found["size"], pair[0].mean((1, 2, 3)) * grams["relu2_2"].sum(), rtol=1e-5
    )
    with pytest.raises(InputError, match="'size' needs the style's Gram matrices at relu2_2"):
        objective.evaluate([own], phi, {}, *pair)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"weights": {"contnt": 1.0}}, "content, style, tv"),
        ({"weights": {"content": -1.0}}, "at least 0"),
        ({"weights": {"content": 0.0}}, "every loss weight is 0"),
        ({"weights": {"content": 1.0}, "content_layers": ("relu9_9",)}, "relu1_1"),
        ({"weights": {"content": 1.0}, "losses": "lua"}, "paper, reference"),
    ],
)
def test_a_bad_configuration_lists_what_is_allowed(kwargs, message):
    with pytest.raises(InputError, match=message):
        ObjectiveConfig(**kwargs)


def test_the_projection_lets_descent_come_back_into_the_range_but_not_leave_it():
    x = jnp.array([-0.5, 0.0, 0.5, 1.0, 1.5])
    np.testing.assert_array_equal(objective.projected(x), [0, 0, 0.5, 1, 1])
    upward, downward = (
        jax.grad(lambda x, s=sign: (s * objective.projected(x)).sum())(x) for sign in (-1.0, 1.0)
    )
    np.testing.assert_array_equal(upward, [-1, -1, -1, 0, 0])
    np.testing.assert_array_equal(downward, [0, 0, 1, 1, 1])


def test_a_weight_beyond_all_floats_is_refused():
    with pytest.raises(InputError, match="loss term 'b': its weight 1000"):
        LossTerm("b", lambda inputs: inputs.output, 10**400)
