"""The stability term and its second views: what holds still costs nothing, what flickers costs its
flicker, and every run draws the same views.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import step_runs
from helpers import save_noise, status, tiny

from jaxpercept import config
from jaxpercept.cli.parser import build_parser
from jaxpercept.cli.train import make_config
from jaxpercept.errors import InputError
from jaxpercept.losses import motion, objective
from jaxpercept.losses.terms import LossTerm, SecondView
from jaxpercept.nets import net_file, transform_net
from jaxpercept.training import loop, views
from jaxpercept.training.optimizers import make_optimizer
from jaxpercept.training.step import TrainState, make_step

pytestmark = pytest.mark.usefixtures("cheap_trainings")

TINY = tiny("resize")
draw = jax.jit(views.draw, static_argnums=0)
warped, stability_loss = jax.jit(motion.warped), jax.jit(motion.stability_loss)
PIXEL = {"pixel": 1.0, "stability": 2.0}  # no loss network to compile


def photos(count=2, side=48):
    """Smooth, as photos are."""
    small = jax.random.uniform(jax.random.key(3), (count, side // 6, side // 6, 3))
    return jnp.clip(jax.image.resize(small, (count, side, side, 3), "cubic"), 0, 1)


def constant(x, right, down):
    return jnp.broadcast_to(jnp.array([right, down]), (*x.shape[:3], 2))


def flows(x, step=0):
    return draw(0, jnp.int32(step), jnp.int32(0), x)[1]


def test_a_whole_shift_reads_whole_pixels_and_half_a_pixel_the_mean_of_two():
    x = photos()
    shift = constant(x, 3.0, -2.0)
    np.testing.assert_array_equal(warped(x, shift)[:, 2:, :-3], x[:, : x.shape[1] - 2, 3:])
    half = constant(x, 0.5, 0.0)
    mean = (x[:, :, :-1] + x[:, :, 1:]) / 2
    np.testing.assert_allclose(warped(x, half)[:, :, :-1], mean, atol=1e-6)
    seen = motion.inside(shift)
    assert not seen[:, :2].any()
    assert not seen[:, :, -3:].any()
    assert seen[:, 2:, :-3].all()


@pytest.mark.parametrize("step", range(3))
def test_a_net_that_commutes_with_the_flow_costs_nothing(step):
    x = photos(4)
    flow = flows(x, step)
    second = warped(x, flow)
    loss = stability_loss(1 - second, 1 - x, second, x, flow)
    np.testing.assert_allclose(loss, 0, atol=1e-12)


def test_fresh_noise_costs_its_variance():
    x = jnp.full((2, 64, 64, 3), 0.5)
    flow = constant(x, 2.0, 1.0)
    noise = 0.05 * jax.random.normal(jax.random.key(0), (2, *x.shape))
    loss = stability_loss(x + noise[0], x + noise[1], x, x, flow)
    np.testing.assert_allclose(loss, 2 * 0.05**2, rtol=0.05)


def test_what_the_photo_changes_in_brightness_the_picture_may_and_what_left_it_does_not_count():
    x = photos()
    flow = constant(x, 4.0, 0.0)
    second = warped(x, flow) + 0.1
    np.testing.assert_allclose(stability_loss(second, x, second, x, flow), 0, atol=1e-12)
    stuck = stability_loss(second - 0.1, x, second, x, flow)
    np.testing.assert_allclose(stuck, 0.01, rtol=1e-5)
    beyond = second.at[:, :, -4:].set(7)
    np.testing.assert_allclose(stability_loss(beyond, x, second, x, flow), 0, atol=1e-12)
    with pytest.raises(ValueError, match="one shape"):
        stability_loss(second, x, second[:1], x, flow)


def test_the_term_counts_in_0_to_255_and_says_what_it_lacks():
    x = photos()
    flow = flows(x)
    second = SecondView(warped(x, flow), warped(x, flow) + 0.1, flow)
    made = objective.make_terms(config.ObjectiveConfig(weights={"stability": 3.0, "pixel": 1.0}))
    values = jax.jit(lambda x: objective.evaluate(made, {}, {}, x, x, second=second))(x)
    np.testing.assert_allclose(values["stability"], 3 * 25.5**2, rtol=1e-4)
    assert [t.name for t in objective.of_one_view(made)] == ["pixel"]
    with pytest.raises(InputError, match=r"'stability' compares .* --weights.stability, to 0"):
        objective.evaluate(made, {}, {}, x, x)


def test_views_are_near_their_photos_and_follow_from_seed_step_and_place_alone():
    x = photos(8)
    view, flow = draw(5, jnp.int32(7), jnp.int32(0), x)
    part = draw(5, jnp.int32(7), jnp.int32(6), x[6:])
    np.testing.assert_array_equal(view[6:], part[0])
    np.testing.assert_array_equal(flow[6:], part[1])
    assert not np.array_equal(flow, draw(5, jnp.int32(8), jnp.int32(0), x)[1])
    assert not np.array_equal(flow, draw(6, jnp.int32(7), jnp.int32(0), x)[1])
    even = jnp.ptp(flow, (1, 2)).max(-1) == 0
    assert 0 < even.sum() < 8  # some whole shifts, some smooth flows
    np.testing.assert_array_equal(flow[even], jnp.round(flow[even]))
    assert 0 < jnp.abs(flow[even]).max() <= views.USUAL.whole
    assert jnp.abs(flow).max() < 16
    apart = jnp.abs(view - warped(x, flow))
    assert 0.002 < apart.mean() < 0.03


def test_each_part_of_a_view_can_be_left_out():
    x, still = photos(8), {"whole": 0, "shift": 0.0, "zoom": 0.0, "turn": 0.0, "field": 0.0}
    noisy, flow = views.draw(5, jnp.int32(7), jnp.int32(0), x, views.Ranges(**still))
    assert not flow.any()
    assert not np.array_equal(noisy, x)
    clean = views.Ranges(noise=0.0, gain=0.0)
    view, flow = views.draw(5, jnp.int32(7), jnp.int32(0), x, clean)
    np.testing.assert_array_equal(flow, draw(5, jnp.int32(7), jnp.int32(0), x)[1])
    np.testing.assert_allclose(view, jnp.clip(warped(x, flow), 0, 1), atol=1e-6)


def test_noise_of_each_size_has_the_deviation_asked_for():
    noise = jax.jit(views._noise)
    like, found = jnp.zeros((64, 64, 3)), []
    for deviations in jnp.eye(len(views.GRAINS)):
        one = noise(jax.random.key(0), 0.01 * deviations, like)
        assert 0.007 < one.std() < 0.0105
        found.append(float(jnp.square(jnp.diff(one, axis=1)).mean() / jnp.square(one).mean()))
    assert found == sorted(found, reverse=True)  # wider noise changes less from pixel to pixel


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_noise(tmp_path_factory.mktemp("photos"), [f"{i}.png" for i in range(4)], 40, 40)


def made(folder, out, **kwargs):
    values = {
        "data": (str(folder),),
        "out": str(out),
        "net": TINY,
        "objective": config.ObjectiveConfig(losses="paper", weights=PIXEL),
        "batch_size": 4,
        "image_size": 32,
        "log_every": 1,
    }
    return config.TrainConfig(**values | kwargs)


def test_a_resumed_run_sees_the_same_views_with_a_term_of_ones_own(folder, tmp_path):
    def hold(inputs):
        second = inputs.second
        return jnp.abs(second.output - warped(inputs.output, second.flow)).mean((1, 2, 3))

    terms = [LossTerm("pixel", lambda i: jnp.square(i.output - i.target).mean((1, 2, 3)), 1.0)]
    terms += [LossTerm("hold", hold, 10.0, second_view=True)]
    for out, stops in (("whole", (3,)), ("parts", (1, 3))):
        for steps in stops:
            loop.train(made(folder, tmp_path / out, steps=steps), terms=terms)
    lines = [
        [
            (line["loss"], line["hold"])
            for line in map(json.loads, (tmp_path / out / "metrics.jsonl").read_text().splitlines())
        ]
        for out in ("whole", "parts")
    ]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 3
    assert all(hold > 0 for _, hold in lines[0])


def test_a_training_draws_views_of_the_ranges_asked_for(folder, tmp_path, monkeypatch):
    drawn, of = views.draw, []
    monkeypatch.setattr(views, "draw", lambda *given: of.append(given[-1]) or drawn(*given))
    still = views.Ranges(whole=0, shift=0.0, zoom=0.0, turn=0.0, field=0.0)
    loop.train_whole(made(folder, tmp_path, steps=1), ranges=still)
    assert set(of) == {still}


def test_several_devices_draw_what_one_draws():
    given = step_runs.make_config(seed=3)
    given = dataclasses.replace(
        given, objective=config.ObjectiveConfig(losses="paper", weights=PIXEL)
    )
    with jax.enable_x64(True):
        one, four = (step_runs.mapped(given, jax.devices()[:n], 2) for n in (1, 4))
    for name in one:
        np.testing.assert_allclose(four[name], one[name], rtol=1e-6, atol=1e-12, err_msg=name)


IMPORTED = dataclasses.replace(
    TINY, padding="same", fit="crop", upsample="transposed", head_norm=True, bias=True, input="raw"
)
SEVERAL = dataclasses.replace(TINY, styles=2)


@pytest.mark.parametrize("net", [TINY, IMPORTED, SEVERAL], ids=["ours", "imported", "several"])
def test_the_net_runs_twice_and_at_a_weight_of_0_once(net):
    def passes(weights):
        styles = ("a.png", "b.png")[: net.styles]
        given = config.TrainConfig(
            net=net,
            task="multistyle" if styles else "style",
            style_images=styles,
            objective=config.ObjectiveConfig(losses="paper", weights=weights),
        )
        params, stats = transform_net.init(net)
        adam = make_optimizer(given).init(params)
        state = TrainState(jnp.int32(0), params, stats, adam)
        batch = {"target": jnp.zeros((1, 2, 32, 32, 3), jnp.uint8)}
        batch |= {"style": jnp.zeros((1, 2), jnp.int32)} if styles else {}
        step = make_step(given, objective.make_terms(given.objective))
        mapped = jax.vmap(step, (None, 0, None, None), axis_name="data")
        return str(jax.make_jaxpr(mapped)(state, batch, {}, {})).count("conv_general")

    once = passes({"pixel": 1.0, "stability": 0.0})
    if net == TINY:
        assert passes({"pixel": 1.0}) == once
    assert passes({"pixel": 1.0, "stability": 1.0}) == 2 * once


@pytest.mark.slow
def test_the_command_line_makes_an_imported_net_steady(folder, tmp_path):
    start = tmp_path / "theirs.safetensors"
    net_file.save(start, IMPORTED, *transform_net.init(IMPORTED), {"task": "style"})
    line = f"train style --style-image {folder}/0.png --data {folder} --out {tmp_path}/run"
    line += f" --init {start} --stability 50 --weights.content 0 --weights.style 0 --steps 1"
    line += " --batch-size 4 --image-size 32"
    assert status(line) == 0
    (logged,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(logged)["stability"] > 0
    assert net_file.load(tmp_path / "run" / "model.safetensors")[0] == IMPORTED


def test_the_option_is_there_where_a_net_of_a_style_is_trained_and_nowhere_else(folder, capsys):
    parser = build_parser("jaxpercept")
    for command in ("style", "multistyle"):
        line = f"train {command} --style-image s.png --data d --stability 50"
        assert make_config(parser.parse_args(line.split())).objective.weights["stability"] == 50
    assert status(f"train superres --scale 2 --data {folder} --stability 1") == 2
    assert "unknown option --stability" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"weights.stability is not for the task 'superres'"):
        config.TrainConfig(**config.superres_recipe(2) | {"objective": made(folder, "").objective})
