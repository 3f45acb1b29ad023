"""`reproduce` on an untrained net at tiny size: every part, the report, and continuing where it
stopped.
"""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import thin

from jaxpercept import config, images
from jaxpercept.cli import main
from jaxpercept.errors import InputError
from jaxpercept.evaluation.reproduce import lab, measure, report, superres, tables
from jaxpercept.evaluation.reproduce.settings import ReproduceConfig
from jaxpercept.images import samples
from jaxpercept.losses import objective
from jaxpercept.nets import net_file, transform_net, vgg, weights_file
from jaxpercept.runtime import stopping
from jaxpercept.synthesis.run import Progress, Result, style_grams


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Makes two styles, their images, and three photos, one of them too small."""
    root = tmp_path_factory.mktemp("reproduce")
    for i, photo in enumerate(list(samples.sample_photos().values())[:3]):
        images.save_image(
            root / "photos" / f"{i}.png", images.resize(photo, 16 if i == 0 else 40, "short")
        )
    net = thin()
    for seed, name in enumerate(("one", "two")):
        style = images.save_image(
            root / "styles" / f"{name}.png", samples.drawn_style(seed=seed, size=32)
        )
        made = config.TrainConfig(
            style_image=str(style),
            style_size=24,
            net=net,
            batch_size=3,
            objective=config.ObjectiveConfig(
                weights={"content": 1.0, "style": 5.0, "tv": 1e-5},
                content_layers=("relu1_2",),
                style_layers=("relu1_1",),
            ),
        )
        training = {"steps": 7, "config": config.to_dict(made)}
        header = {
            "task": "style",
            "training": training,
            "style": {"file": style.name, "sha256": weights_file.sha256(style)},
        }
        net_file.save(
            root / f"{name}.safetensors", net, *transform_net.init(net, seed=seed), header
        )
    return root


def config_of(place, tmp_path, **kwargs):
    made = {
        "out": str(tmp_path / "out"),
        "results": str(tmp_path / "results"),
        "data": (str(place / "photos"),),
        "styles": tuple(str(place / f"{n}.safetensors") for n in ("one", "two")),
        "sizes": (24,),
        "images": (2,),
        "other_images": (1,),
        "iterations": 3,
        "figure_size": 16,
        "figure_iterations": 2,
        "timed_iterations": 1,
        "style_images": (str(place / "styles"),),
        "style_sizes": (16, 24),
    }
    return ReproduceConfig(**{**made, **kwargs})


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(measure, "FIGURE3", ("relu1_1", "relu2_1"))
    monkeypatch.setattr(measure, "FIGURE4", ("relu1_1", "relu1_2"))
    monkeypatch.setattr(measure, "TV_FACTORS", (0.0, 10.0))


def drawn_at_once(made, photos, styles, *, vgg_params, progress=None):
    """Stands for an optimisation: halves its loss at every iteration, without a loss network."""
    size, steps = len(photos[0]), made.iterations[0]
    losses = 1e6 * 0.5 ** np.arange(steps + 1)
    evaluations = np.arange(steps + 1) + 1
    picture = np.full((1, size, size, 3), 0.25, np.float32)
    for i in range(steps + 1) if progress else ():
        terms = {"loss": losses[i : i + 1], "style": losses[i : i + 1]}
        progress(Progress(size, size, i, steps, evaluations[i : i + 1], terms, 0.5, picture, False))
    return Result(picture, [losses[None]], [evaluations[None]], np.zeros(1), (0.5, steps))


@pytest.fixture(params=["drawn at once", pytest.param("optimised", marks=pytest.mark.slow)])
def _synthesis(request, monkeypatch):
    if request.param == "drawn at once":
        monkeypatch.setattr(measure, "synthesize", drawn_at_once)


@pytest.mark.usefixtures("_synthesis")
def test_every_part_and_the_report(place, tmp_path):
    said = []
    path = report.reproduce(config_of(place, tmp_path), said.append)
    text, found = path.read_text(), json.loads(path.with_suffix(".json").read_text())
    assert all(
        f"## {part}:" in text
        for part in ("crossing", "speed", "figure3", "figure4", "transfer", "tv")
    )
    names = {p.name for p in path.parent.iterdir()}
    assert {
        f"reproduce-{n}.webp" for n in ("figure3", "figure4", "transfer", "tv", "style-size")
    } < names
    assert {"reproduce-crossing-one-24.png", "reproduce-crossing-two-24.png"} < names
    assert [(r["style"], r["photos"]) for r in found["crossings"]] == [("one", 2), ("two", 1)]
    speed = tables.speed_table(found["units"]["speed"])[0]
    assert speed["ratio_500"] == pytest.approx(5 * speed["ratio_100"])
    assert found["speeds"][0]["ratio_500"] == pytest.approx(speed["ratio_500"], rel=2e-5)
    unit = found["units"]["crossing"][0]
    assert unit["settings"]["image"] == "1"  # the photo that is large enough first
    assert not unit["enlarged"]
    assert len(unit["losses"]) == len(unit["evaluations"]) == 4
    # It is scored as it was trained: clipped, with its batch's TV and its style size.
    phi, style = (
        vgg.load_vgg16(),
        lab.trained_style(str(place / "one.safetensors"), (str(place / "styles"),)),
    )
    photo = images.square(images.load_image(place / "photos" / "1.png"), 24)
    evaluate = jax.jit(partial(objective.evaluate, objective.make_terms(style.objective), batch=3))
    grams = style_grams(phi, [style.image], None, ("relu1_1",), 24)
    values = evaluate(phi, grams, *map(jnp.asarray, (style.model(photo[None]), photo[None])))
    assert unit["values"]["net"]["loss"] == pytest.approx(float(values["loss"][0]), rel=1e-5)
    assert unit["values"]["content"]["content"] == 0

    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.*")}
    said.clear()
    report.reproduce(config_of(place, tmp_path), said.append)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.*")} == before
    assert not [line for line in said if line.endswith(" s")]
    with pytest.raises(InputError, match=r"other settings \(iterations\)"):
        report.reproduce(config_of(place, tmp_path, iterations=4, parts=("crossing",)))


def test_a_setting_that_only_the_stored_result_has_is_named(tmp_path):
    """An earlier version may have had it."""
    (tmp_path / "unit.json").write_text(json.dumps({"settings": {"size": 24, "old": 1}}))
    there = SimpleNamespace(folder=tmp_path)
    with pytest.raises(InputError, match=r"other settings \(old\)"):
        lab.Lab.kept(there, "unit", {"size": 24}, lambda: pytest.fail("measures again"))


def test_what_draws_level_and_what_never_does():
    def unit(photo, at):
        level = {"iteration": at, "evaluations": at + 2} if at else None
        values = {k: {"loss": v} for k, v in (("net", 1.0), ("content", 9.0), ("style", 5.0))}
        return {
            "settings": {"style": "s", "size": 8, "iterations": 50, "image": photo},
            "crossing": level,
            "values": values,
            "enlarged": photo == "c",
            "losses": [9.0, 1.0],
        }

    (row,) = tables.crossing_table([unit("a", 20), unit("b", 40), unit("c", None)])
    assert (row["iteration"], row["evaluations"], row["range"], row["enlarged"]) == (
        40,
        42,
        [20, None],
        1,
    )
    (row,) = tables.crossing_table([unit("a", None), unit("b", 40), unit("c", None)])
    assert row["iteration"] is None
    assert report.crossing_chart("s", 8, [unit("a", None)]).shape == (480, 720, 3)


def untrained(made, *_):
    """Stands for a training: writes a net with its first weights."""
    path = Path(made.out) / "model.safetensors"
    header = {"task": "superres", "training": {"steps": made.steps, "config": {}}}
    net_file.save(path, made.net, *transform_net.init(made.net), header)
    return path, made.steps, []


@pytest.mark.parametrize(
    "run", [untrained, pytest.param(superres.loop._run, marks=pytest.mark.slow)]
)
def test_super_resolution_with_the_papers_net_and_both_losses(place, tmp_path, monkeypatch, run):
    """A training that was stopped goes on, and is not scored before."""
    recipe = config.superres_recipe

    def small(*args):
        made = recipe(*args)
        return made | {"net": made["net"].scaled(0.1)}

    monkeypatch.setattr(superres, "superres_recipe", small)
    photo = next(iter(samples.sample_photos().values()))
    images.save_image(tmp_path / "large" / "a.png", images.resize(photo, 80, "short"))
    photos = (str(tmp_path / "large"),)
    made = config_of(
        place,
        tmp_path,
        parts=("superres",),
        data=photos,
        superres_images=photos,
        superres_patch=48,
        superres_steps=2,
        superres_schedule="constant",
    )
    monkeypatch.setattr(
        superres.loop, "_run", lambda asked, *rest: run(replace(asked, steps=1), *rest)
    )
    with pytest.raises(stopping.Interrupted):
        report.reproduce(made)
    monkeypatch.setattr(superres.loop, "_run", run)
    path = report.reproduce(made)
    (unit,) = json.loads(path.with_suffix(".json").read_text())["units"]["superres"]
    assert unit["scores"].keys() == {"bicubic", "blur"}
    plain = unit["scores"]["bicubic"]
    assert {"bicubic", "pixel", "feature", "pixel+histogram"} < plain.keys()
    assert {"psnr", "ssim", "relu2_2"} < plain["pixel"].keys()
    assert f"| bicubic | pixel | {plain['pixel']['psnr']:.2f} / " in path.read_text()
    assert "L-BFGS" not in path.read_text()
    assert (tmp_path / "out" / "superres" / "scores.png").exists()


def test_total_variation_keeps_its_share_on_smaller_patches():
    """It is a sum over pixels; the other losses are means."""
    objective = config.superres_recipe(4, "paper", "feature")["objective"]
    assert superres._objective(objective, 2.0).weights == {"content": 1.0, "tv": 2e-4}
    assert superres._objective(objective, 1.0) == objective
    objective = config.superres_recipe(4, "paper", "pixel")["objective"]
    assert superres._objective(objective, 2.0) == objective


BAD = {
    "--parts superres --data P": "--superres-images is empty; the part superres needs test images",
    "--parts superres --superres-images P": "--data is empty; the part superres needs training",
    "--parts crosing": "did you mean crossing",
    "--sizes 256": "3 numbers for 1 size;",
    "--images 1 2 -3": "--images -3 is not allowed",
    "--iterations 0": "--iterations 0 is not allowed",
    "--styles none": "none",
    "--init content": "noise, grey",
    "--data none --parts figure3": "none: no such file",
    "--out file.txt": "--out file.txt is a file; give a folder",
    "--results file.txt/x": "error: --results file.txt/x: ",
    "--styles S --style-images P": "the style image of one (one.png, sha256",
    "--styles S S --style-images Q": "--styles: two nets are called one; rename one of the files",
}


@pytest.mark.parametrize("line", list(BAD))
def test_bad_input_is_one_line(place, tmp_path, monkeypatch, capsys, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("")
    words = {"S": str(place / "one.safetensors")}
    words |= {"P": str(place / "photos"), "Q": str(place / "styles")}
    assert main(["reproduce", *(words.get(w, w) for w in line.split())]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert BAD[line] in errors[0]


def test_the_drawn_style_of_a_shipped_net_needs_no_file(monkeypatch):
    monkeypatch.setattr(samples, "drawn_style", drawn := lambda: drawn)  # takes a second
    header = weights_file.read_header(weights_file.resolve("stained_glass", "styles"))
    assert lab.style_image("stained_glass", header["style"], ()) is drawn


def test_photos_of_one_name_are_all_used(place, tmp_path, monkeypatch):
    """And the list of photos that nets were trained on is UTF-8 in every locale."""
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_text", lambda self, code="ascii": read(self).decode(code))
    photo = (place / "photos" / "1.png").read_bytes()
    for name in ("a/x.png", "b/x.png", "x-2.jpg", "x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photo)
    found = lab.photos_by_name((str(tmp_path),))
    assert sorted(str(path.relative_to(tmp_path)) for path in found.values()) == [
        "a/x.png",
        "b/x.png",
        "x-2.jpg",
        "x.jpg",
    ]


@pytest.mark.parametrize(
    ("option", "parts"),
    [
        ("sizes", ("crossing", "figure3")),
        ("sizes, and of the figures", ("crossing", "figure3")),
        ("figure_size", ("figure3",)),
        ("figure_size", ("figure4",)),
        ("style_sizes", ("style-size",)),
    ],
)
def test_sizes_far_beyond_the_memory_are_refused(place, tmp_path, option, parts):
    option, both, _ = option.partition(", ")
    size = {option: 300_000 if option == "figure_size" else (300_000,)}
    size |= {"figure_size": 300_000} if both else {}
    with pytest.raises(InputError, match=rf"300000x300000 needs .* give smaller {option}$"):
        report.reproduce(config_of(place, tmp_path, **size, parts=parts))


@pytest.mark.parametrize("text", ["{", "[]", "{}", "\xff"])
def test_a_measurement_that_someone_damaged_is_named(place, tmp_path, text):
    kept = tmp_path / "out" / "crossing" / "one-24-1.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(text, "latin-1")
    with pytest.raises(InputError, match=r"one-24-1\.json: is not a measurement"):
        report.reproduce(config_of(place, tmp_path, parts=("crossing",)))


def test_names_of_photos_and_nets_do_not_break_the_report(place, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "synthesize", drawn_at_once)
    long, odd = tmp_path / "photos" / f"{'é' * 120}.png", tmp_path / "a b|[c]\n.safetensors"
    long.parent.mkdir()
    shutil.copy(place / "photos" / "1.png", long)
    shutil.copy(place / "one.safetensors", odd)
    made = {"data": (str(long.parent),), "styles": (str(odd),), "images": (1,)}
    path = report.reproduce(config_of(place, tmp_path, **made, parts=("crossing", "tv")))
    lines = path.read_text("utf-8").splitlines()
    assert any(line.startswith(r"| a b\|[c]\n | 24 | 1") for line in lines)
    assert any(line.startswith(rf"| a b\|[c]\n-{'é' * 50}-10 |") for line in lines)
    name = "reproduce-crossing-a%20b%7C%5Bc%5D%0A-24.png"
    assert rf"![loss over iterations, a b\|\[c\]\n at 24]({name})" in lines
    assert (path.parent / unquote(name)).is_file()


def test_losses_are_those_of_the_nets_own_loss_network(place, tmp_path):
    """The figures that no style is part of use the shipped one."""
    net, params, stats, header = net_file.load(place / "one.safetensors")
    training, own = header["training"], tmp_path / "own.safetensors"
    made = training["config"] | {"vgg": str(own)}
    path = tmp_path / "net.safetensors"
    net_file.save(path, net, params, stats, header | {"training": training | {"config": made}})
    asked = config_of(place, tmp_path, styles=(str(path), str(place / "one.safetensors")))
    with pytest.raises(InputError, match=r"net\.safetensors: was trained with .*own\.safetensors"):
        lab.Lab(asked)
    arrays, about = weights_file.read_weights(vgg.source())
    arrays["conv1_1.bias"] = np.full(64, 7, np.float16)
    weights_file.write_weights(own, arrays, about)
    there = lab.Lab(asked)
    own_phi, *others = (there.phi(style) for style in (*there.styles, None))
    assert float(own_phi["conv1_1.bias"].min()) == 7
    assert all(float(phi["conv1_1.bias"].min()) < 7 for phi in others)


def test_a_link_to_nothing_is_no_style_image(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is not among --style-images"):
        lab.style_image("net", {"file": "a.png", "sha256": "0"}, (str(tmp_path),))
