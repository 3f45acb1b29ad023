"""Nets of many styles: the mixture, the draw, blends as text, training, adding a style, the command
line.
"""

import dataclasses
import io
import itertools
import json
import os
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import status, tiny

from jaxpercept import config, images
from jaxpercept.cli import main
from jaxpercept.errors import InputError
from jaxpercept.inference.model import _compiled, load_model
from jaxpercept.losses import objective
from jaxpercept.nets import multistyle, net_file, surgery, transform_net, vgg, weights_file
from jaxpercept.training import engines, loop, start, style_plan
from jaxpercept.training.start import gram_targets, init_state

pytestmark = pytest.mark.usefixtures("cheap_trainings")

SINGLE = tiny("resize")
NET = dataclasses.replace(SINGLE, styles=3)
LAYERS = ("relu1_1",)
OBJECTIVE = config.ObjectiveConfig(
    weights={"content": 1.0, "style": 5.0, "tv": 1e-6}, content_layers=LAYERS, style_layers=LAYERS
)
STYLES = ("dots", "lines", "noise")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Makes photos and four style images."""
    root = tmp_path_factory.mktemp("multistyle")
    random = np.random.default_rng(0)
    for i in range(5):
        images.save_image(root / "photos" / f"{i}.png", random.random((24, 28, 3), np.float32))
    for i, name in enumerate((*STYLES, "extra")):
        images.save_image(root / f"{name}.png", random.random((24, 24, 3), np.float32) ** (i + 1))
    return root


def make_config(place, out, names=STYLES, **kwargs):
    values = {
        "task": "multistyle",
        "data": (str(place / "photos"),),
        "style_images": tuple(str(place / f"{name}.png") for name in names),
        "style_size": 0,
        "out": str(out),
        "net": NET,
        "objective": OBJECTIVE,
        "steps": 4,
        "batch_size": 4,
        "image_size": 20,
        "checkpoint_every": 2,
        "preview_every": 4,
        "log_every": 1,
        **kwargs,
    }
    return config.TrainConfig(**values)


@pytest.fixture(scope="module")
def trained(place, tmp_path_factory):
    """Returns the weights of a whole run."""
    return loop.train(make_config(place, tmp_path_factory.mktemp("run") / "whole"))


def random_params(net, seed=0):
    keys = iter(np.random.default_rng(seed).spawn(99))
    return {
        k: jnp.asarray(next(keys).normal(0, 0.3, s), jnp.float32)
        for k, s in transform_net.shapes(net)[0].items()
    }


def photos(count, size=20):
    return jnp.asarray(np.random.default_rng(5).random((count, size, size + 4, 3)), jnp.float32)


def compiled(net):
    return jax.jit(lambda params, x, mix: transform_net.apply(net, params, {}, x, mix=mix)[0])


def test_one_style_equals_the_single_net_with_those_rows_exactly():
    params, x = random_params(NET), photos(3)
    assert set(surgery.style_parameters(NET)) == {k for k in params if "norm" in k}
    found = compiled(NET)(params, x, jnp.eye(3)[jnp.array([2, 0, 1])])
    for i, row in enumerate((2, 0, 1)):
        own = {k: v[row] if "norm" in k else v for k, v in params.items()}
        np.testing.assert_array_equal(found[i], compiled(SINGLE)(own, x, None)[i])
    np.testing.assert_array_equal(
        compiled(NET)(params, x, jnp.eye(3)[:1])[1], found[1]
    )  # one for all, at both ends
    mean = {k: 0.25 * v[0] + 0.75 * v[2] if "norm" in k else v for k, v in params.items()}
    blend = compiled(NET)(params, x, jnp.array([[0.25, 0.0, 0.75]]))
    np.testing.assert_allclose(blend, compiled(SINGLE)(mean, x, None), atol=1e-5)


def test_a_single_style_starts_from_one_of_several(place, trained, tmp_path):
    model = load_model(f"{trained}:lines")
    one = make_config(
        place,
        tmp_path / "run",
        (),
        task="style",
        style_image=str(place / "lines.png"),
        net=SINGLE,
        init=f"{trained}:lines",
        steps=1,
    )
    state, earlier = init_state(one)
    np.testing.assert_array_equal(
        compiled(SINGLE)(state.params, photos(2), None),
        compiled(NET)(model.params, photos(2), model.mix),
    )
    own = next(s for s in model.header["styles"] if s["name"] == "lines")
    assert earlier is not None
    assert earlier["training"] == {"steps": own["steps"], "images": own["images"]}
    header = weights_file.read_header(loop.train(one))
    assert header["training"]["images"] == own["images"] + one.batch_size
    for init, said in (
        (str(trained), "holds several styles; choose one, as in .*of: dots, lines, noise"),
        (f"{trained}:lines=1,dots=2", "is a blend; a training starts from one style"),
        (f"{trained}:line", "did you mean lines"),
        (f"{tmp_path}/run/model.safetensors:lines", "holds a single style; leave out ':lines'"),
    ):
        with pytest.raises(InputError, match=said):
            init_state(dataclasses.replace(one, init=init))


def test_mix_must_fit_the_net():
    x = photos(2)
    for net, mix in (
        (NET, None),
        (NET, jnp.ones((3, 3))),
        (NET, jnp.ones((2, 2))),
        (SINGLE, jnp.ones((1, 1))),
    ):
        with pytest.raises(ValueError, match="needs mix"):
            transform_net.apply(net, random_params(net), {}, x, mix=mix)
    for wrong in ({"norm": "batch"}, {"norm": "none"}):
        with pytest.raises(InputError, match="3 styles in one net need the norm 'instance'"):
            dataclasses.replace(NET, **wrong)


def test_the_draw_is_balanced_and_the_same_however_it_is_split():
    whole = np.concatenate([style_plan.draw(7, step, 4, 3) for step in range(6)])
    assert all(sorted(group) == [0, 1, 2] for group in whole.reshape(-1, 3).tolist())
    assert len(set(map(tuple, whole.reshape(-1, 3).tolist()))) > 2  # in many orders
    for step in range(6):
        halves = [style_plan.draw(7, step, 4, 3, (i, 2)) for i in range(2)]
        np.testing.assert_array_equal(np.concatenate(halves), whole[4 * step : 4 * step + 4])
    assert not np.array_equal(
        whole[:12], np.concatenate([style_plan.draw(8, s, 4, 3) for s in range(3)])
    )
    for steps in range(6):
        np.testing.assert_array_equal(
            style_plan.drawn(7, steps, 4, 3), np.bincount(whole[: 4 * steps], minlength=3)
        )


def one_step(made, style=None, devices=1, engine="shard_map"):
    """Returns the state after a step in which the images have these styles, the parameters before,
    and the logged values."""
    terms = objective.make_terms(made.objective)
    phi = vgg.load_vgg16()
    grams = gram_targets(made, terms, phi)
    runner = engines.make_engine(engine, made.batch_size, jax.devices()[:devices])
    state, _ = init_state(made)
    before = {k: np.asarray(v) for k, v in state.params.items()}
    target = np.random.default_rng(1).integers(0, 256, (made.batch_size, 20, 20, 3), dtype=np.uint8)
    batch = {"target": target} | ({} if style is None else {"style": np.array(style, np.int32)})
    batch = {k: runner.shard(v) for k, v in batch.items()}
    state, phi, grams = (runner.replicate(tree) for tree in (state, phi, grams))
    arguments = state, batch, phi, grams
    step = loop.compiled(runner.compile(loop.make_step(made, terms), 2), *arguments)
    state, metrics = step(*arguments)
    state = jax.tree.map(np.asarray, runner.unreplicate(state))
    return state, before, jax.tree.map(np.asarray, runner.unreplicate(metrics))


def test_only_drawn_styles_get_a_gradient_and_each_its_own_target(place, tmp_path):
    made = make_config(place, tmp_path)
    state, before, said = one_step(made, [0, 2, 2, 0])
    for name in surgery.style_parameters(NET):
        gradient = state.opt_state[0].mu[name] * 10
        assert not gradient[1].any(), name
        assert gradient[0].any(), name
        assert gradient[2].any(), name
        np.testing.assert_array_equal(state.params[name][1], before[name][1])
    own = one_step(made, [1] * 4)[2]["style"]
    single = dataclasses.replace(
        made, task="style", style_images=(), net=SINGLE, style_image=made.style_images[1]
    )
    assert one_step(single)[2]["style"] == pytest.approx(
        own, rel=1e-6
    )  # a fresh net's rows are all alike
    assert said["style"] != pytest.approx(own, rel=0.01)


@pytest.mark.parametrize("several", [True, False], ids=["multistyle", "one style"])
def test_in_the_geometric_mean_large_losses_do_not_outweigh_others(place, tmp_path, several):
    """The gradient is that of the loss's logarithm, so it is the same for a loss ten times as
    large."""
    made, styles = make_config(place, tmp_path), [0, 1, 2, 1]
    if not several:
        made, styles = (
            dataclasses.replace(
                made,
                task="style",
                style_images=(),
                net=SINGLE,
                average="geometric",
                style_image=made.style_images[0],
            ),
            None,
        )
    ten = dataclasses.replace(
        OBJECTIVE, weights={name: 10 * weight for name, weight in OBJECTIVE.weights.items()}
    )
    state, _, said = one_step(made, styles)
    large, _, also = one_step(dataclasses.replace(made, objective=ten), styles)
    assert also["loss"] == pytest.approx(10 * said["loss"], rel=1e-5)
    largest = max(np.abs(v).max() for v in state.opt_state[0].mu.values())
    for name, value in state.opt_state[0].mu.items():
        np.testing.assert_allclose(large.opt_state[0].mu[name], value, atol=1e-5 * largest)


def test_the_mean_over_images_can_be_chosen(place, tmp_path):
    """On one image the two means differ by a factor, the loss. A multi-style net also takes the
    arithmetic one."""
    made = make_config(place, tmp_path, batch_size=1)
    geometric, _, said = one_step(made, [1])
    arithmetic, _, _ = one_step(dataclasses.replace(made, average="arithmetic"), [1])
    largest = max(np.abs(v).max() for v in arithmetic.opt_state[0].mu.values())
    for name, value in arithmetic.opt_state[0].mu.items():
        np.testing.assert_allclose(
            geometric.opt_state[0].mu[name] * said["loss"], value, atol=1e-5 * largest
        )
    with pytest.raises(InputError, match="arithmetic, geometric"):
        dataclasses.replace(made, average="harmonic")


@pytest.mark.parametrize("engine", ["shard_map", pytest.param("pmap", marks=pytest.mark.slow)])
def test_two_devices_equal_one(place, tmp_path, engine):
    made = make_config(place, tmp_path)
    one, _, said = one_step(made, [0, 1, 2, 1])
    two, _, also = one_step(made, [0, 1, 2, 1], 2, engine)
    assert said["loss"] == pytest.approx(also["loss"], rel=1e-6)
    largest = max(np.abs(v).max() for v in one.opt_state[0].mu.values())
    for name, value in one.opt_state[0].mu.items():  # a tenth of the gradient
        np.testing.assert_allclose(two.opt_state[0].mu[name], value, atol=1e-5 * largest)


def lines(out):
    found = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: line[k] for k in ("step", "loss", "content", "style", "tv")} for line in found]


def test_a_run_resumes_bit_for_bit_and_its_file_says_what_it_holds(place, trained, tmp_path):
    class Killed(BaseException):
        pass

    def kill(line):
        if line["step"] == 3:
            raise Killed

    made = make_config(place, tmp_path / "run")
    with pytest.raises(Killed):
        loop.train(made, on_log=kill)
    again = loop.train(made)
    assert again.read_bytes() == trained.read_bytes()
    assert lines(again.parent) == lines(trained.parent)
    header = weights_file.read_header(again)
    assert multistyle.names(header) == STYLES
    assert [s["images"] for s in header["styles"]] == style_plan.drawn(0, 4, 4, 3)
    assert [s["steps"] for s in header["styles"]] == [
        round(s["images"] / 4) for s in header["styles"]
    ]
    assert header["styles"][1]["sha256"] == weights_file.sha256(place / "lines.png")
    preview = images.load_image(again.parent / "previews" / "00000004.jpg")
    assert preview.shape == (4 * 20, 3 * 20, 3)  # photos, and one row per style
    with pytest.raises(InputError, match=r"\(styles: dots.png lines.png noise.png → lines.png "):
        loop.train(make_config(place, tmp_path / "run", ("lines", "dots", "noise")))


def test_adding_a_style_changes_nothing_else(place, trained, tmp_path):
    """The start's file may vanish during the training."""
    base = Path(shutil.copy(trained, tmp_path / "base.safetensors"))
    made = make_config(
        place,
        tmp_path / "more",
        ("extra",),
        init=str(base),
        only_new=True,
        net=dataclasses.replace(NET, styles=4),
        learning_rate=0.05,
    )
    path = loop.train(made, on_log=lambda _: base.unlink(missing_ok=True))
    shutil.copy(trained, base)
    old, new = (weights_file.read_weights(p)[0] for p in (trained, path))
    rows = [name for name in old if old[name].ndim == 2]
    assert rows
    for name in old:
        kept = new[name][:3] if name in rows else new[name]
        np.testing.assert_array_equal(kept, old[name], strict=True)
    still = "params.blocks.0.norm2.bias"  # later norms remove what it adds to every pixel
    moved = [
        np.abs(new[name][3] - old[name].astype(np.float32).mean(0)).max()
        for name in rows
        if name != still
    ]
    assert min(moved) > 0.01
    header = weights_file.read_header(path)
    assert multistyle.names(header) == (*STYLES, "extra")
    assert [s["images"] for s in header["styles"]] == [*style_plan.drawn(0, 4, 4, 3), 16]
    state, _ = init_state(made)
    assert set(state.opt_state[0].mu) == {name.removeprefix("params.") for name in rows}
    with pytest.raises(InputError, match="holds it already, as extra"):
        style_plan.plan(made.style_images, str(path), only_new=True)


def test_a_net_of_one_style_gives_its_rows_to_all(place, tmp_path):
    params = random_params(SINGLE)
    header = {
        "task": "style",
        "training": {"steps": 7, "images": 28},
        "style": {"file": "lines.jpg", "sha256": "x"},
    }
    net_file.save(tmp_path / "one.safetensors", SINGLE, params, {}, header)
    made = make_config(place, tmp_path / "run", init=str(tmp_path / "one.safetensors"))
    state, _ = init_state(made)
    for name in surgery.style_parameters(NET):
        for row in state.params[name]:
            np.testing.assert_array_equal(
                row, np.asarray(params[name]).astype(np.float16).astype(np.float32)
            )
    styles, rows = style_plan.plan(made.style_images, made.init)
    assert rows == [None, 0, None]
    assert [s.steps for s in styles] == [0, 7, 0]
    with pytest.raises(InputError, match=r"net.styles is 3, but these are 2: dots, noise"):
        init_state(make_config(place, tmp_path / "run", ("dots", "noise")))
    with pytest.raises(InputError, match="is another net"):
        init_state(dataclasses.replace(made, net=dataclasses.replace(NET, blocks=2)))


def test_a_warm_start_takes_rows_by_name(place, trained):
    files = [str(place / f"{name}.png") for name in ("extra", "noise", "dots", "lines")]
    styles, rows = style_plan.plan(files, str(trained))
    assert rows == [None, 2, 0, 1]
    assert [s.images for s in styles] == [0, *(style_plan.drawn(0, 4, 4, 3)[i] for i in (2, 0, 1))]
    _, params, _, _ = net_file.load(trained)
    made = surgery.restyle(dataclasses.replace(NET, styles=4), params, rows)
    scale = params["stem_norm.scale"]
    np.testing.assert_array_equal(
        made["stem_norm.scale"], jnp.stack([scale.mean(0), scale[2], scale[0], scale[1]])
    )
    with pytest.raises(InputError, match="also holds dots, which training all weights would spoil"):
        style_plan.plan(files[:2] + files[3:], str(trained))


def test_style_images_must_be_distinct_and_able_to_name_a_style(place, tmp_path):
    dots = str(place / "dots.png")
    for name in ("a=b.png", "all.png", "x,y.png", f"{'x' * 201}.png"):
        with pytest.raises(InputError, match=r"more than 200 .* rename the file"):
            style_plan.plan([str(tmp_path / name)])
    (tmp_path / "copy.png").write_bytes((place / "dots.png").read_bytes())
    for twice in (dots, str(tmp_path / "copy.png"), str(tmp_path / "dots.jpg")):
        (tmp_path / "dots.jpg").write_bytes(b"another")
        with pytest.raises(InputError, match=r"is the style dots \(dots.png\) again"):
            style_plan.plan([dots, twice])
    with pytest.raises(InputError, match=r"none.png: no such file; give the path of an image"):
        style_plan.plan(["none.png"])
    os.mkfifo(tmp_path / "pipe.png")  # reading it would wait for ever
    with pytest.raises(InputError, match=r"pipe.png: is a FIFO"):
        style_plan.plan([str(tmp_path / "pipe.png")])


@pytest.mark.parametrize(
    ("blend", "expected"),
    [
        ("a", {"a": 1}),
        ("a=0.6,c=0.4", {"a": 0.6, "c": 0.4}),
        ("a=3,b=1", {"a": 0.75, "b": 0.25}),
        ("c,b", {"c": 0.5, "b": 0.5}),
        ("a=1,b=0", {"a": 1}),
    ],
)
def test_blends(blend, expected):
    found = multistyle.parse("multi", blend, ("a", "b", "c"))
    assert found == pytest.approx(expected)
    np.testing.assert_allclose(multistyle.row(found, ("a", "b", "c"))[0].sum(), 1)


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        (None, "multi holds 2 styles; choose as in multi:wave"),
        ("", "multi holds 2 styles"),
        ("wav", r"no style 'wav' \(did you mean wave\?\); it has: wave, sea"),
        ("wave=-1", "the weight of wave is '-1'; give a number of at least 0"),
        ("wave=nan", "the weight of wave is 'nan'"),
        ("wave=inf", "the weight of wave is 'inf'"),
        ("wave=x", "the weight of wave is 'x'"),
        ("wave=0,sea=0", "every weight is 0"),
        ("wave=1e308,sea=1e308", "the sum of the weights is too large"),
        ("wave=1,wave=2", "wave is given twice"),
        ("wave=1,", "no style ''"),
        ("all,wave", "no style 'all'"),
    ],
)
def test_wrong_blends(blend, message):
    with pytest.raises(InputError, match=message):
        multistyle.parse("multi", blend, ("wave", "sea"))


def test_a_blend_of_a_single_net_and_a_colon_in_a_path(tmp_path):
    with pytest.raises(InputError, match="one holds a single style; leave out ':wave=1'"):
        multistyle.parse("one", "wave=1", ())
    path = tmp_path / "a:b"
    path.write_bytes(b"")
    assert multistyle.split(path) == (str(path), None)
    assert multistyle.split("runs:1/model.safetensors") == ("runs:1/model.safetensors", None)
    assert multistyle.split("runs:1/model.safetensors:a=1") == ("runs:1/model.safetensors", "a=1")


def test_load_model_compiles_once_for_all_blends(trained, monkeypatch):
    traced, original = [], transform_net.apply
    monkeypatch.setattr(
        transform_net, "apply", lambda *a, **k: traced.append(1) or original(*a, **k)
    )
    _compiled.cache_clear()
    x = photos(2)
    models = [load_model(f"{trained}:{blend}") for blend in ("dots", "lines", "dots=1,lines=1")]
    outputs = [
        np.asarray(m(x)) for m in (*models, models[0].blend("noise"), models[2].blend("lines=2"))
    ]
    assert len(traced) == 1
    _compiled.cache_clear()
    np.testing.assert_array_equal(outputs[1], outputs[4])
    assert all(np.abs(a - b).max() > 1e-4 for a, b in itertools.combinations(outputs[:4], 2))
    run = trained.parent.name
    assert [m.name.removeprefix(f"{run}-model-") for m in models] == [
        "dots",
        "lines",
        "dots0.5-lines0.5",
    ]
    assert models[1].header["style"]["file"] == "lines.png"
    assert models[0].styles == STYLES
    with pytest.raises(InputError, match="holds 3 styles; choose as in"):
        load_model(trained)


@pytest.fixture
def shelf(trained, tmp_path, monkeypatch):
    """Makes a weights directory with the net of three styles, and one of a single style that sorts
    after it."""
    monkeypatch.setenv("JAXPERCEPT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights" / "styles").mkdir(parents=True)
    (tmp_path / "weights" / "styles" / "multi.safetensors").write_bytes(trained.read_bytes())
    params, stats = transform_net.init(SINGLE)
    net_file.save(
        tmp_path / "weights" / "styles" / "single.safetensors",
        SINGLE,
        params,
        stats,
        {"task": "style"},
    )
    images.save_image(tmp_path / "a.png", np.asarray(photos(1)[0]))
    return tmp_path


def test_a_start_and_a_teacher_are_found_by_one_rule(shelf, place, trained):
    """Both take a style's name, a shipped net's, and a file, also from Python."""
    kind = {"task": "style", "style_image": str(place / "lines.png"), "net": SINGLE}
    found = []
    for given in ("lines", "multi:lines", f"{trained}:lines"):
        made = make_config(place, shelf / "run", (), init=given, teacher=given, **kind)
        hashes = start._hashes(made, ())
        assert hashes["init"] == hashes["teacher"]
        found.append((hashes["init"], init_state(made)[0].params["stem_norm.scale"].tolist()))
    assert found[1:] == found[:1] * 2
    for wrong in ("init", "teacher"):
        with pytest.raises(InputError, match=r"'multy' is neither .* \(did you mean multi\?\)"):
            start._hashes(make_config(place, shelf / "run", (), **{wrong: "multy"}, **kind), ())


def test_list_and_default(shelf, capsys):
    assert status("stylize --list-styles") == 0
    assert capsys.readouterr().out.split() == ["single", "multi:dots", "multi:lines", "multi:noise"]
    assert multistyle.split("dots") == ("multi", "dots")
    assert multistyle.split("single") == ("single", None)
    assert multistyle.split("nets/dots") == ("nets/dots", None)
    assert status("stylize a.png -o named --style dots") == 0
    assert [p.name for p in (shelf / "named").iterdir()] == ["a_multi-dots.png"]
    assert status("stylize a.png -o one") == 0
    assert [p.name for p in (shelf / "one").iterdir()] == ["a_single.png"]


def test_a_sheet_that_cannot_be_written_costs_no_other(shelf, capsys):
    (shelf / "out" / "a_multi-all.png").mkdir(parents=True)
    shutil.copy(shelf / "a.png", shelf / "b.png")
    assert status("stylize a.png b.png --style multi:all -o out") == 1
    told = capsys.readouterr().err
    assert told.count("error: out/a_multi-all.png: cannot be written (Is a directory)") == 1
    assert (shelf / "out" / "b_multi-all.png").is_file()


def test_a_name_that_is_too_long_costs_no_other(shelf, capsys):
    """Also where the command only looks whether an output is there."""
    shutil.copy(shelf / "a.png", shelf / f"{'l' * 246}.png")
    shutil.copy(shelf / "a.png", shelf / "z.png")
    assert status("stylize a.png l*.png z.png --style multi:all -o out") == 1
    assert "too long); give a shorter name" in capsys.readouterr().err
    (shelf / "out" / "z_multi-dots.png").unlink()
    assert status("stylize a.png l*.png z.png --style multi:all -o out --skip-existing") == 1
    assert "5 of 9 images existed already" in capsys.readouterr().err
    assert len(list((shelf / "out").glob("z_*"))) == 4  # three styles and the sheet


def test_standard_input_gets_its_sheet(shelf, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((shelf / "a.png").read_bytes())))
    assert status("stylize - --style multi:all -o out") == 0
    assert (shelf / "out" / "stdin_multi-all.png").is_file()


def test_two_runs_of_many_styles_have_a_sheet_each(shelf):
    nets = [shelf / run / "model.safetensors" for run in ("r1", "r2")]
    for net in nets:
        net.parent.mkdir()
        net.write_bytes((shelf / "weights/styles/multi.safetensors").read_bytes())
    assert status(f"stylize a.png --style {nets[0]}:all {nets[1]}:all -o out") == 0
    sheets = sorted(path.name for path in (shelf / "out").glob("*-all.png"))
    assert sheets == ["a_r1-model-all.png", "a_r2-model-all.png"]


def test_all_blends_and_a_sheet(shelf):
    assert (
        status(
            "stylize a.png --style multi:all multi:dots=2 multi:dots=3,noise=1 single --grain 0 "
            "-o out"
        )
        == 0
    )
    assert {p.name for p in (shelf / "out").iterdir()} == {
        "a_multi-dots.png",
        "a_multi-lines.png",
        "a_multi-noise.png",
        "a_multi-all.png",
        "a_multi-dots0.75-noise0.25.png",
        "a_single.png",
    }
    assert images.load_image(shelf / "out" / "a_multi-all.png").shape[1] > 4 * 384
    x = images.load_image("a.png")[None]
    expected = images.to_uint8(np.asarray(load_model("multi:dots=3,noise=1")(x))[0])
    found = images.to_uint8(images.load_image(shelf / "out" / "a_multi-dots0.75-noise0.25.png"))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stylize a.png --style multi", "multi holds 3 styles; choose as in multi:dots"),
        ("stylize a.png --style multi:dot", "did you mean dots?"),
        ("stylize a.png --style mult:dots", "did you mean multi?"),
        ("stylize a.png --style single:all", "single holds a single style"),
        ("stylize a.png --style multi:all -o b.png", "names one file, but 3 images"),
        (
            "train multistyle --style-image a.png --data x --only-new",
            "--only-new needs --init FILE",
        ),
        (
            "train multistyle --style-image a.png --data x --preset paper",
            "need the norm 'instance', got 'batch'",
        ),
        (
            "train multistyle --style-image a.png a.png --data x",
            "a.png is the style a (a.png) again",
        ),
        (
            "train multistyle --style-image a.png --data x --init weights/styles/multi.safetensors",
            "also holds dots",
        ),
        (
            "train multistyle --style-image a.png --data x --init a.png",
            "a.png: is not a safetensors file",
        ),
    ],
)
def test_mistakes_are_one_line(shelf, capsys, line, message):
    assert status(line) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_the_command_takes_the_net_of_init_and_adds_styles(shelf, place, root):
    """Runs it as a user types it. The new file holds old and new styles."""
    line = (
        f"train multistyle --style-image {place}/extra.png --data {place}/photos --only-new --init "
        "multi --style-layers relu1_1 --content-layers relu1_1 --image-size 20 "
        f"--style-size 0 --steps 1 --out run --vgg {root}/weights/vgg16-imagenet.safetensors"
    )
    assert status(line) == 0
    net, _, _, header = net_file.load("run/model.safetensors")
    assert net == dataclasses.replace(NET, styles=4)
    assert multistyle.names(header) == (*STYLES, "extra")
    assert header["training"]["steps"] == 5
    again = config.train_config_from_dict(header["training"]["config"])  # what `reproduce` reads
    assert again.only_new


def test_a_warm_start_from_no_net(shelf, place, capsys):
    assert (
        status(
            f"train multistyle --style-image {place}/extra.png --data {place}/photos --init mult "
            "--only-new"
        )
        == 2
    )
    assert (
        "'mult' is neither a file nor a shipped name (did you mean multi?)"
        in capsys.readouterr().err
    )
    assert (
        status(f"train style --style-image {place}/extra.png --data {place}/photos --init {place}")
        == 2
    )
    assert (
        f"{place}: is a folder; give an existing file or one of: multi, single"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "damage", [lambda s: "x", lambda s: s[:2], lambda s: [s[0], s[0], s[2]], lambda s: [{}] * 3]
)
def test_a_header_that_does_not_name_its_styles(place, trained, tmp_path, damage):
    arrays, header = weights_file.read_weights(trained)
    header["styles"] = damage(header["styles"])
    path = weights_file.write_weights(tmp_path / "net.safetensors", arrays, header)
    with pytest.raises(InputError, match="damaged"):
        load_model(f"{path}:dots")
    with pytest.raises(InputError, match="damaged"):
        style_plan.plan([str(place / "extra.png")], str(path), only_new=True)
    with pytest.raises(InputError, match="damaged"):
        multistyle.one(str(path), "dots", weights_file.read_header(path))


def test_a_style_added_to_an_imported_net_leaves_its_float32_weights(place, tmp_path):
    """Its own style also keeps its row, named after the file."""
    params = random_params(SINGLE)
    net_file.save(tmp_path / "theirs.safetensors", SINGLE, params, {}, {}, dtype=np.float32)
    made = make_config(
        place,
        tmp_path / "run",
        ("extra",),
        init=str(tmp_path / "theirs.safetensors"),
        only_new=True,
        net=dataclasses.replace(NET, styles=2),
        steps=1,
    )
    arrays, header = weights_file.read_weights(loop.train(made))
    assert multistyle.names(header) == ("theirs", "extra")
    for name, value in params.items():
        found = arrays[f"params.{name}"]
        np.testing.assert_array_equal(found[0] if "norm" in name else found, value, strict=True)


def test_train_style_takes_the_net_of_init(place, trained, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(loop, "train", asked.append)
    words = (
        f"train style --style-image {place}/lines.png --data {place}/photos --init {trained}:lines"
    )
    for more, net in (("", SINGLE), (" --width 0.5", config.NET_PRESETS["resize"].scaled(0.5))):
        assert main((words + more).split()) == 0
        assert asked.pop().net == net
    enlarging = dataclasses.replace(config.superres_net(2), stem=4, blocks=1)
    net_file.save(tmp_path / "x2.safetensors", enlarging, *transform_net.init(enlarging), {})
    words = f"train style --style-image {place}/lines.png --data {place}/photos"
    assert status(f"{words} --init {tmp_path}/x2.safetensors") == 2
    assert "x2.safetensors is a super-resolution net" in capsys.readouterr().err
    assert not asked
