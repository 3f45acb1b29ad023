"""Learning one style on a shared net: what it keeps, what it needs, and that it learns."""

import dataclasses
import itertools
import threading
import types
from functools import partial

import numpy as np
import pytest
from helpers import save_noise, thin

from jaxpercept import cli, images
from jaxpercept.cli import learn_job, learn_time
from jaxpercept.errors import InputError
from jaxpercept.inference.model import load_model
from jaxpercept.inference.treatment import Sizes, Treatment
from jaxpercept.nets import learned, net_file, surgery, transform_net, vgg, weights_file
from jaxpercept.training import learn, style_numbers, style_recipe
from jaxpercept.training.style_recipe import style_grams
from jaxpercept.training.targets import Targets

LAYERS = ["relu1_1"]
WEIGHTS = {"content": 1.0, "style": 50.0}
OBJECTIVE = {
    "losses": "reference",
    "weights": WEIGHTS,
    "content_layers": LAYERS,
    "style_layers": LAYERS,
}


def write_base(path, styles=2, seed=0, rows=None, loss_network=None):
    """Writes a tiny shared net of some styles."""
    net = dataclasses.replace(thin(), styles=styles)
    params, stats = transform_net.init(net, seed)
    params = surgery.restyle(net, params, rows) if rows else params
    named = [{"name": f"s{i}", "file": f"s{i}.png", "sha256": ""} for i in range(styles)]
    settings = {"objective": OBJECTIVE, "style_size": 64, "vgg": loss_network}
    header = {"styles": named, "training": {"config": settings}}
    net_file.save(path, net, params, stats, header)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learn")
    write_base(folder / "base.safetensors")
    stripes = np.zeros((64, 96, 3), np.float32)
    stripes[::4, :, 0] = 1
    images.save_image(folder / "stripes.png", stripes)
    return folder


@pytest.fixture(scope="module")
def taught(place):
    return teach(place)


@pytest.fixture(scope="module")
def taught_whole(place):
    return teach(place, whole=True)


def teach(place, whole=False):
    """Returns a learner, what it learned in twelve steps of a simulated clock, and what it
    showed."""
    patch = pytest.MonkeyPatch()
    patch.setattr(learn, "SIZE", 32)
    clock = itertools.count()
    learner = learn.Learner(str(place / "base.safetensors"), 2, whole=whole)
    phi, shown = learner.prepared(vgg.load_vgg16()), []
    grams = style_grams(learner.recipe, place / "stripes.png", phi)
    batch = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    numbers, steps, terms = learner.learn(
        "stripes",
        grams,
        phi,
        itertools.repeat(batch),
        30.0,
        show=shown.append,
        show_every=3,
        clock=lambda: float(next(clock)),
    )
    patch.undo()
    return learner, numbers, steps, terms, shown


def test_it_learns_and_shows_how_it_goes(taught):
    _, _, steps, terms, shown = taught
    assert steps == 12
    assert shown[0].terms["loss"] > 1.05 * terms["loss"]
    assert [p.share for p in shown] == sorted(p.share for p in shown)
    assert terms["loss"] == pytest.approx(terms["content"] + terms["style"])


def test_the_mix_leads_from_the_mean_row_to_any_other(taught, place):
    learner, row, *_ = taught
    _, params, _, _ = net_file.load(place / "base.safetensors")
    for i in range(2):
        one = {**learner._untrained, style_numbers.MIX: np.eye(2, dtype="f")[i]}
        for name, values in style_numbers.of_net(one, learner._spread).items():
            np.testing.assert_allclose(values, params[name][i], atol=1e-6)
    alone = style_numbers.of_net(learner._untrained, learner._spread)
    assert all(np.ptp(row[name] - alone[name]) > 0 for name in row)


def test_what_photos_are_compared_with_is_computed_once(place):
    phi, photos = vgg.load_vgg16(), np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "u1")
    targets = Targets(learn.Learner(str(place / "base.safetensors"))._terms)
    first = [targets.of(phi, photos), targets.of(phi, photos[::-1])]
    assert all(a is b for a, b in zip(first[0], first[1][::-1], strict=True))
    for photo, found in zip(photos, first[0], strict=True):
        expected = vgg.vgg_features(phi, photo[None].astype(np.float32) / 255, LAYERS)
        np.testing.assert_allclose(found[LAYERS[0]], expected[LAYERS[0]], rtol=1e-5, atol=1e-5)


def test_no_more_targets_are_kept_than_fit(place):
    phi, photos = vgg.load_vgg16(), np.arange(6, dtype=np.uint8)[:2, None, None, None]
    targets = Targets(learn.Learner(str(place / "base.safetensors"))._terms, most=1)
    photos = np.broadcast_to(photos, (2, 8, 8, 3))
    (a, b), (c, d) = targets.of(phi, photos), targets.of(phi, photos)
    assert a is c
    assert b is not d
    np.testing.assert_array_equal(b[LAYERS[0]], d[LAYERS[0]])


def test_it_ends_at_the_step_whose_end_is_nearest_to_the_time(taught, place):
    """A step is long on a slow machine."""
    learner = taught[0]
    phi = learner.prepared(vgg.load_vgg16())
    grams = style_grams(learner.recipe, place / "stripes.png", phi)
    now = [0.0]

    def batches():
        while True:
            now[0] += 2.0
            yield np.zeros((2, 32, 32, 3), np.uint8) + 99

    for until, steps in ((8.5, 4), (9.5, 5)):
        now[0] = 0.0
        done = learner.learn("stripes", grams, phi, batches(), until, clock=lambda: now[0])
        assert done.steps == steps


def test_longer_learning_sees_two_images_per_step():
    assert [learn.batch_for(minutes, False) for minutes in (0.2, 1, 10)] == [1, 1, 2]
    assert learn.batch_for(10, True) == 1


def test_only_a_whole_net_that_learns_for_long_sees_other_views():
    asked = itertools.product((1, 10), (False, True))
    assert [learn.augments(*one) for one in asked] == [False, False, False, True]


@pytest.mark.parametrize(
    ("photos", "share"), [("", 0), ("a", 1 / 2), ("abc", 6 / 10), ("abcde", 5 / 9)]
)
def test_the_photos_to_be_painted_are_half_of_what_it_sees_or_more(photos, share):
    seen = learn_job._even(list("1234"), list(photos))
    assert set(seen) == {*"1234", *photos}
    assert sum(one in photos for one in seen) == pytest.approx(share * len(seen))


def test_a_whole_net_moves_its_kernels_too(taught, taught_whole, place):
    learner, numbers, _, terms, shown = taught_whole
    assert shown[0].terms["loss"] > 1.05 * terms["loss"]
    assert terms["loss"] < taught[3]["loss"]
    _, params, _, _ = net_file.load(place / "base.safetensors")
    assert numbers.keys() == params.keys()
    for name, kernel in learner._kernels.items():
        np.testing.assert_array_equal(kernel, params[name])  # the next style begins with them
        assert np.all(numbers[name] != kernel), name


@pytest.mark.parametrize("kind", ["taught", "taught_whole"])
def test_what_is_kept_is_a_net_of_one_style(kind, place, request):
    whole = kind == "taught_whole"
    learner, numbers, steps, *_ = request.getfixturevalue(kind)
    path = place / f"kept_{kind}.safetensors"
    about = style_recipe.about(place / "stripes.png")
    learner.save(path, about, numbers, steps)
    model = load_model(path)
    assert model.styles == ()
    x = np.random.default_rng(1).random((1, 24, 28, 3), np.float32)
    expected = learner.model("stripes", numbers)(x)
    np.testing.assert_allclose(model(x), expected, atol=2e-3)  # float16 in the file
    assert model.header["style"]["sha256"] == weights_file.sha256(place / "stripes.png")
    assert (learned.BASE in model.header) != whole
    assert ("kernels" in model.header["training"]) == whole
    assert model.header["grain"] == model.grain == 0.01


def test_a_small_file_needs_the_kernels_that_it_was_learned_on(taught, place, tmp_path):
    learner, row, steps, *_ = taught
    path = tmp_path / "small.safetensors"
    learner.save(path, style_recipe.about(place / "stripes.png"), row, steps)
    base = write_base(tmp_path / "base.safetensors", styles=3, rows=[0, 1, 0])
    load_model(path)  # a net beside it, to which a row was added, has the same kernels
    write_base(base, seed=1)
    with pytest.raises(InputError, match=r"another version of .*learn it again"):
        load_model(path)
    arrays, header = weights_file.read_weights(path)
    weights_file.write_weights(path, arrays, header | {"base": {"name": "gone", "kernels": ""}})
    with pytest.raises(InputError, match="learned on the net gone, which is not here"):
        load_model(path)
    weights_file.write_weights(path, arrays, header | {"base": [1]})
    with pytest.raises(InputError, match="header: base is"):
        load_model(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{p}/stripes.png --minutes 0", "--minutes 0 is not allowed"),
        ("{p}/none.png", "none.png"),
        ("{p}/stripes.png {p}/stripes.png", "two paintings would be called stripes"),
        ("{p}/stripes.png --out {p}/stripes.png", "stripes.png is a file; give a folder"),
        ("{p}/stripes.png --out {p}/stripes.png/x", "error: --out "),
        ("{p}/stripes.png {p}/other.png --name x", "--name is for a single painting"),
        ("{p}/stripes.png --name a:b", "--name 'a:b' is not allowed; it cannot be empty, be 'all'"),
        ("{p}/stripes.png --name ..", "--name '..' is not allowed"),
        ("{p}/stripes.png --base no-such", "no-such"),
        ("{p}/stripes.png --base wave", "--base wave holds a single style"),
        ("{p}/stripes.png --on {p}/nowhere", "nowhere: no such file"),
        ("{p}/stripes.png --seed -1", "--seed -1 is not allowed"),
        ("{p}/stripes.png --weights.style -1", "--weights.style -1 is not allowed; give at least"),
        ("{p}/stripes.png --weights.style nan", "--weights.style nan is not allowed"),
    ],
)
def test_mistakes(place, line, message, capsys):
    assert cli.main(["train", "learn", *line.format(p=place).split()]) == 2
    assert message in capsys.readouterr().err


def test_no_picture_of_the_users_is_replaced(place, tmp_path, capsys, monkeypatch):
    """The picture of what is learned has the style's name."""
    monkeypatch.setattr(learn_job, "run", lambda *_: 0)
    monkeypatch.chdir(tmp_path)
    photo, painting = tmp_path / "a.jpg", place / "stripes.png"
    base = write_base(tmp_path / "base.safetensors")
    images.save_image(photo, images.load_image(painting))
    before = photo.read_bytes()

    def learn(*more):
        status = cli.main(["train", "learn", *map(str, more), "--out", str(tmp_path)])
        return status, capsys.readouterr().err

    said = "a.jpg is an input, and would be replaced by"
    for line in (
        (photo,),
        (painting, "--name", "A", "--on", photo),
        (painting, "--name", "a", "--data", photo),
        (painting, "--name", "a", "--data", tmp_path),
    ):
        status, message = learn(*line)
        assert (status, said in message.replace("A.jpg", "a.jpg")) == (2, True), message
    status, message = learn(painting, "--name", "base", "--base", base)
    assert (status, "base.safetensors is an input, and would" in message) == (2, True)
    assert photo.read_bytes() == before
    assert learn(photo, "--name", "b")[0] == 0
    (tmp_path / "a.safetensors").touch()  # then the picture is of an earlier training
    assert learn(painting, "--name", "a", "--data", tmp_path)[0] == 0


@pytest.mark.parametrize("name", ["stripes.jpg", "stripes.safetensors"])
def test_a_folder_in_place_of_what_is_learned_is_found_before_any_work(
    name, place, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(learn_job, "run", lambda *_: 0)
    (tmp_path / name).mkdir()
    line = ["train", "learn", str(place / "stripes.png"), "--out", str(tmp_path)]
    assert cli.main(line) == 2
    assert f"{name} is a folder; give another folder with --out" in capsys.readouterr().err


def test_a_painting_of_a_few_pixels_is_refused(tmp_path, capsys):
    images.save_image(tmp_path / "dot.png", np.zeros((31, 40, 3), np.float32))
    assert cli.main(["train", "learn", str(tmp_path / "dot.png")]) == 2
    assert "dot.png: 40x31 is too small to learn a style from" in capsys.readouterr().err


def test_a_painting_of_a_single_colour_is_refused(tmp_path):
    images.save_image(tmp_path / "grey.png", np.full((64, 64, 3), 0.5, np.float32))
    with pytest.raises(InputError, match=r"grey\.png: is a single colour"):
        style_grams(None, tmp_path / "grey.png", {})


def test_a_wrong_data_folder_is_named_before_anything_is_compiled(
    place, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(learn_job, "_in_background", lambda work: pytest.fail("compiles"))
    (tmp_path / "empty").mkdir()
    for data in ("no-such", str(tmp_path / "empty")):
        line = ["train", "learn", str(place / "stripes.png"), "--out", str(tmp_path / "out")]
        assert cli.main([*line, "--data", data]) == 2
        assert data in capsys.readouterr().err


def test_the_step_is_compiled_before_the_net():
    """A net is compiled past jax's cache, for all threads, and the step would not be kept."""
    done = []
    one = types.SimpleNamespace(
        compile=lambda: done.append("step"), first=lambda name: lambda photo: done.append("net")
    )
    learn_job._compile(one, np.zeros((1, 8, 8, 3)))
    assert done == ["step", "net"]


def test_the_net_is_compiled_before_it_learns_for_what_it_sees_of_the_photos(tmp_path, place):
    """So that no time is kept for it. Sizes that the net cannot paint are not tried."""
    files = {"a": (32, 40), "b": (40, 32), "c": (32, 40), "tiny": (2, 40)}
    for name, (h, w) in files.items():
        save_noise(tmp_path, [f"{name}.png"], h, w)
    photos = [*(tmp_path / f"{name}.png" for name in files), tmp_path / "none.png"]
    net = learn.Learner(str(place / "base.safetensors")).first("x")
    sizes = learn_time.sizes_of(net, Treatment(stroke=None), photos)
    tried = learn_time.tried(net, sizes)
    assert tried == [(32, 40), (40, 32)]
    # The reserve is only a moment, and as much longer as the machine is slow.
    quick, slow, slower = (learn_time.reserve(pace, sizes, tried) for pace in (0, 1e-6, 3e-6))
    assert quick < 1
    assert slower - quick == pytest.approx(3 * (slow - quick))
    painting = 2e-6 * 3 * 32 * 40
    assert slow - learn_time.reserve(1e-6, [], []) == pytest.approx(painting)
    assert learn_time.reserve(0, sizes, tried[:1]) - quick == learn_time._COMPILING
    reduced = Sizes((1000, 1334), (1000, 1334), (600, 800))
    assert learn_time.tried(net, [reduced]) == [(600, 800)]


@pytest.mark.parametrize(
    ("file", "seen", "least", "most"),  # measured beside other work and without, in Mpixels of pace
    [((1000, 1334), (600, 800), 4.6, 7.8), ((3646, 5470), (729, 1094), 5.4, 12.7)],
)
def test_the_time_kept_for_a_photo_is_that_of_what_is_made_of_it(file, seen, least, most):
    """The net sees a photo of 20 million pixels as one of 0.8 million, which is enlarged."""
    of = partial(learn_time.reserve, sizes=[Sizes(file, file, seen)], tried=[seen])
    assert least < of(1e-6) - of(0) - 1e-6 * learn_time._SAVING < most
    assert of(0) == 0.5 + learn_time._COMPILING  # of the net that enlarges


def test_a_step_is_done_even_if_the_time_is_over(taught, place):
    learner = taught[0]
    phi = learner.prepared(vgg.load_vgg16())
    grams = style_grams(learner.recipe, place / "stripes.png", phi)
    batches = itertools.repeat(np.zeros((2, 32, 32, 3), np.uint8) + 99)
    assert learner.learn("stripes", grams, phi, batches, 0.0).steps == 1


def test_a_mistake_while_the_step_is_compiled_waits_for_the_compiler():
    """A daemon inside XLA aborts the process when Python ends."""
    begun, go = threading.Event(), threading.Event()
    daemons = []

    def work():
        daemons.append(threading.current_thread().daemon)
        begun.set()
        go.wait(10)

    wait = learn_job._in_background(work)
    assert begun.wait(10)
    assert daemons == [False]
    go.set()
    wait()


def test_a_request_to_stop_ends_it_after_the_step(taught, place):
    learner = taught[0]
    phi = learner.prepared(vgg.load_vgg16())
    grams = style_grams(learner.recipe, place / "stripes.png", phi)

    stopped = []

    def batches():
        yield np.zeros((2, 32, 32, 3), np.uint8) + 99
        stopped.append(15)
        yield np.zeros((2, 32, 32, 3), np.uint8) + 99

    assert learner.learn("stripes", grams, phi, batches(), 9e9, stopped=stopped).steps == 2


def test_files_may_change_while_a_style_is_learned(place, tmp_path, monkeypatch, capsys):
    """And a photo that cannot be read is no reason to lose the style, or the other photos."""
    painting, base = tmp_path / "stripes.png", write_base(tmp_path / "base.safetensors")
    painting.write_bytes((place / "stripes.png").read_bytes())
    save_noise(tmp_path / "on", ["b.png"], 32, 32)
    (tmp_path / "on" / "a.png").write_bytes(b"no picture")

    def learned_at_once(self, *_, **__):
        painting.unlink()
        base.unlink()
        return learn.Result(self._start, 1, {"loss": 1.0})

    monkeypatch.setattr(learn, "SIZE", 32)
    monkeypatch.setattr(learn.Learner, "learn", learned_at_once)
    monkeypatch.setattr(learn_job, "_in_background", lambda work: lambda: None)
    line = [painting, "--base", base, "--on", tmp_path / "on", "--out", tmp_path / "out"]
    assert cli.main(["train", "learn", *map(str, line), "--weights.style", "40"]) == 1
    assert "a.png: not an image" in capsys.readouterr().err
    assert (tmp_path / "out" / "b_stripes.png").is_file()
    header = weights_file.read_header(tmp_path / "out" / "stripes.safetensors")
    assert header["style"] == style_recipe.about(place / "stripes.png")
    assert header["training"]["config"]["objective"]["weights"] == {**WEIGHTS, "style": 40}


def test_the_style_weight_is_the_shared_nets_or_the_one_given(place):
    for given, weight in ((None, WEIGHTS["style"]), (40.0, 40)):
        learner = learn.Learner(str(place / "base.safetensors"), style_weight=given)
        assert {t.name: t.weight for t in learner._terms} == {**WEIGHTS, "style": weight}


def test_the_loss_network_is_that_of_the_shared_nets_training(place, tmp_path, monkeypatch, capsys):
    own, loaded = tmp_path / "own.safetensors", []
    base = write_base(tmp_path / "base.safetensors", loss_network=str(own))
    line = ["train", "learn", place / "stripes.png", "--base", base, "--out", tmp_path / "out"]
    assert cli.main([*map(str, line)]) == 2
    said = capsys.readouterr().err
    assert f"{base}: was trained with the loss network {own}, which is not here" in said

    def load(path=None):
        loaded.append(path)
        raise InputError("loaded")

    own.symlink_to(vgg.source())
    monkeypatch.setattr(vgg, "load_vgg16", load)
    monkeypatch.setattr(learn_job, "_in_background", lambda work: lambda: None)
    assert cli.main([*map(str, line)]) == 2
    assert loaded == [own]
    learner = learn.Learner(str(base))
    path = learner.save(tmp_path / "kept.safetensors", {"file": "stripes.png"}, learner._start, 1)
    assert load_model(path).header["training"]["config"]["vgg"] == str(own)
