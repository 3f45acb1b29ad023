"""Super-resolution as a person types it: training, upscaling, evaluation; one-line errors, exit
statuses.
"""

import json

import numpy as np
import pytest
from conftest import ROOT
from helpers import status, thin

from jaxpercept import config, images
from jaxpercept.cli import train_superres
from jaxpercept.cli.parser import build_parser
from jaxpercept.nets import net_file, transform_net, weights_file

pytestmark = pytest.mark.usefixtures("cheap_trainings")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A weights directory with tiny nets of scale 4, and a folder of pictures."""
    root = tmp_path_factory.mktemp("place")
    for seed, name in enumerate(("x4-feature", "x4-pixel")):
        net = config.superres_net(4).scaled(0.1)
        params, stats = transform_net.init(net, seed=seed)
        training = {"config": {"degradation": "bicubic"}}
        net_file.save(
            root / "weights" / "superres" / f"{name}.safetensors",
            net,
            params,
            stats,
            {"task": "superres", "training": training},
        )
    (root / "weights" / "vgg16-imagenet.safetensors").symlink_to(
        ROOT / "weights" / "vgg16-imagenet.safetensors"
    )
    random = np.random.default_rng(0)
    for name in ("a.png", "b.jpg"):
        images.save_image(root / "photos" / name, random.random((40, 44, 3), np.float32))
    return root


@pytest.fixture
def shelf(place, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXPERCEPT_WEIGHTS", str(place / "weights"))
    monkeypatch.chdir(tmp_path)
    return place


def parse(line):
    return train_superres.make_config(build_parser("jaxpercept").parse_args(line.split()))


def test_the_papers_numbers():
    made = parse("train superres --scale 8 --loss feature --preset paper --data d e")
    assert (made.task, made.net) == ("superres", config.superres_net(8, "paper"))
    assert (made.steps, made.batch_size, made.image_size, made.learning_rate) == (
        200_000,
        4,
        288,
        1e-3,
    )
    assert (made.schedule, made.degradation, made.data) == ("constant", "blur", ("d", "e"))
    assert (made.objective.weights, made.objective.content_layers) == (
        {"content": 1.0, "tv": 5e-5},
        ("relu2_2",),
    )


def test_defaults_are_the_recipes_and_options_override_them():
    made = parse("train superres --scale 4 --loss pixel --data d")
    assert made == config.TrainConfig(**config.superres_recipe(4), data=("d",))
    line = "train superres --scale 4 --loss pixel --data d --patch-size 64 --degradation blur"
    line += " --weights.content 2"
    made = parse(f"{line} --content-layers relu3_3 --width 0.5 --out o --init x4-pixel --steps 9")
    assert made.objective.weights == {"l1": 1.0, "content": 2.0}
    assert made.objective.content_layers == ("relu3_3",)
    assert (made.image_size, made.degradation, made.out, made.steps) == (64, "blur", "o", 9)
    assert made.init == "x4-pixel"
    assert made.net == config.superres_net(4).scaled(0.5)


def test_a_training_of_a_mix_resumes_and_its_file_says_how_it_was_made(shelf, tmp_path, capsys):
    line = "train superres --scale 2 --loss feature --content-layers relu1_1 --weights.pixel 0.1"
    line += " --weights.l1 0 --weights.hatch 0 --width 0.1 --patch-size 16 --batch-size 4"
    line += " --out run --log-every 1"
    line += " --degradation blur --data"
    assert status(*line.split(), shelf / "photos", "--steps", 1, "--schedule", "constant") == 0
    assert status(*line.split(), shelf / "photos", "--steps", 2, "--schedule", "constant") == 0
    assert "steps 2 to 2" in capsys.readouterr().err
    logged = [
        json.loads(row) for row in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [set(row) & set(config.TERM_NAMES) for row in logged] == [{"content", "pixel"}] * 2
    assert images.load_image(tmp_path / "run" / "previews" / "00000002.jpg").shape == (
        3 * 288,
        3 * 288,
        3,
    )
    _, header = weights_file.read_weights(tmp_path / "run" / "model.safetensors")
    assert (header["task"], header["training"]["config"]["degradation"]) == ("superres", "blur")
    assert header["training"]["data"]["sources"] == [str(shelf / "photos")]
    assert config.net_from_dict(header["net"], "").scale == 2


BAD = {
    "train: scale": ("train superres --scale 3 --loss pixel --data P", "2, 4, 8"),
    "train: loss": ("train superres --scale 4 --loss pixels --data P", "feature, pixel"),
    "train: preset": (
        "train superres --scale 4 --loss pixel --data P --preset fast",
        "best, gated, paper",
    ),
    "train: no scale": ("train superres --loss pixel --data P", "--scale"),
    "train: patch of another scale": (
        "train superres --scale 8 --loss pixel --data P --patch-size 76",
        "--patch-size 76 is not a multiple of the scale 8; use 72",
    ),
    "train: small patch": (
        "train superres --scale 4 --loss pixel --data P --patch-size 8",
        "--patch-size 8",
    ),
    "train: no style image": (
        "train superres --scale 4 --loss pixel --data P --weights.style 1",
        "content, tv, pixel",
    ),
    "train: degradation": (
        "train superres --scale 4 --loss pixel --data P --degradation png",
        "blur, bicubic",
    ),
    "upscale: no input": ("upscale --scale 4", "no input image"),
    "upscale: scale": ("upscale A --scale 9", "--scale 9 is not allowed; give more than 1"),
    "upscale: two sizes": ("upscale A --scale 3 --width 99", "give one of them"),
    "upscale: no width": ("upscale A --width 0", "--width 0 is not allowed"),
    "upscale: too wide": (
        "upscale A --width 999",
        "--width 999 is more than 8 times the input's 44 pixels; give at most 352, or",
    ),
    "upscale: too sharp": ("upscale A --sharpness 1.000001", "--sharpness 1.000001 is not"),
    "upscale: two nets": ("upscale A --sharpness 1 --model x4-pixel", "give one of them"),
    "upscale: none shipped": (
        "upscale A --scale 8",
        "shipped: x4-feature, x4-pixel); train one: python train.py",
    ),
    "upscale: another scale": (
        "upscale A --scale 4.5 --model x4-pixel",
        "a net of scale 4 cannot enlarge 4.5 times",
    ),
    "upscale: unknown model": ("upscale A --model x4-pixels", "did you mean x4-pixel?"),
    "upscale: a style": ("upscale A --model style.safetensors", "is a style net, of scale 1"),
    "upscale: too small": ("upscale small.png", "7x40 is too small; give at least 8"),
    "upscale: tile": ("upscale A --tile 3", "--tile 3 is not allowed"),
    "upscale: too large": (
        "upscale A --max-pixels 28159",
        "44x40 would become 176x160, 28,160 pixels",
    ),
    "upscale: too large before it is reduced": (
        "upscale A --scale 2.5 --max-pixels 28159",
        "44x40 would become 176x160 before it is reduced, 28,160 pixels",
    ),
    "upscale: several into one": ("upscale P -o x.png", "names one file"),
    "upscale: onto itself": ("upscale A -o A", "is the input itself"),
    "stylize: a super-resolution net": ("stylize A --style x4.safetensors", "choose a style net"),
    "evaluate: scale": ("evaluate superres --data P --scale 3", "2, 4, 8"),
    "evaluate: no data": ("evaluate superres --data nowhere --scale 4", "nowhere"),
    "evaluate: unknown model": (
        "evaluate superres --data P --scale 4 --model none",
        "x4-feature, x4-pixel",
    ),
    "evaluate: another scale": (
        "evaluate superres --data P --scale 2 --model x4-pixel",
        "of scale 4, not 2",
    ),
    "evaluate: layer": ("evaluate superres --data P --scale 4 --features conv1", "relu1_1"),
    "evaluate: sheet": (
        "evaluate superres --data P --scale 4 --sheet s.xyz",
        "unknown image suffix",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_one_line_and_status_2(shelf, tmp_path, capsys, case):
    line, expected = BAD[case]
    images.save_image("small.png", np.zeros((40, 7, 3), np.float32))
    net = thin()
    net_file.save(tmp_path / "style.safetensors", net, *transform_net.init(net), {})
    (tmp_path / "x4.safetensors").symlink_to(
        shelf / "weights" / "superres" / "x4-pixel.safetensors"
    )
    before = sorted(tmp_path.rglob("*"))
    words = {"P": str(shelf / "photos"), "A": str(shelf / "photos" / "a.png")}
    assert status(*[words.get(w, w) for w in line.split()]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1, errors
    assert expected in errors[-1]
    assert sorted(tmp_path.rglob("*")) == before


def test_upscale_folders_with_the_first_shipped_net(shelf, tmp_path):
    assert status("upscale", shelf / "photos", "-o", "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a_x4-feature.png",
        "b_x4-feature.jpg",
    ]
    assert images.load_image(tmp_path / "out" / "a_x4-feature.png").shape == (160, 176, 3)


def test_upscale_does_what_it_can_of_a_mixed_folder(shelf, tmp_path, capsys):
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "bad.png").write_bytes(b"no")
    (tmp_path / "mixed" / "notes.txt").write_text("not looked at")
    images.save_image("mixed/good.png", np.full((9, 12, 3), 0.5, np.float32))
    images.save_image("mixed/small.png", np.zeros((40, 7, 3), np.float32))
    model = tmp_path / "mine" / "model.safetensors"
    model.parent.mkdir()
    model.symlink_to(shelf / "weights" / "superres" / "x4-pixel.safetensors")
    assert (
        status("upscale", "mixed", "--model", model, "--scale", 4, "-o", "out", "--tile", 16) == 1
    )
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good_x4-mine-model.png"]
    errors = capsys.readouterr().err
    assert "bad.png" in errors
    assert "small.png: 7x40 is too small" in errors


def test_colours_are_matched_when_asked(shelf, tmp_path):
    photo = shelf / "photos" / "a.png"
    assert status("upscale", photo, "-o", "matched.png", "--match-histogram") == 0
    assert status("upscale", photo, "-o", "plain.png") == 0
    assert status("upscale", photo, "-o", "old.png", "--no-match-histogram") == 0
    means = [
        abs(images.load_image(p).mean((0, 1)) - images.load_image(photo).mean((0, 1))).max()
        for p in ("matched.png", "plain.png")
    ]
    assert means[0] < means[1]


@pytest.mark.parametrize(
    ("options", "name", "size"),
    [
        ("--scale 2.5", "a_x4-feature-by-2.5.png", (100, 110, 3)),
        ("--width 99", "a_x4-feature-99px.png", (90, 99, 3)),
        ("--sharpness 0.25 --ensemble", "a_x4-sharpness-0.25-ensemble.png", (160, 176, 3)),
    ],
)
def test_any_size_any_sharpness_and_eight_views(shelf, tmp_path, options, name, size):
    assert status("upscale", shelf / "photos" / "a.png", *options.split()) == 0
    assert [p.name for p in (tmp_path / "outputs").iterdir()] == [name]
    assert images.load_image(tmp_path / "outputs" / name).shape == size


def test_a_width_for_photos_of_all_sizes(shelf, tmp_path, capsys):
    """One that is too small fails alone, and one that becomes smaller says so."""
    photo = images.load_image(shelf / "photos" / "a.png")
    images.save_image(tmp_path / "in" / "a.png", photo)
    images.save_image(tmp_path / "in" / "tiny.png", photo[:8, :8])
    images.save_image(tmp_path / "in" / "wide.png", np.tile(photo, (1, 3, 1)))
    assert status("upscale", tmp_path / "in", "--width", 99, "-o", tmp_path / "out") == 1
    assert [images.size_of(p)[1] for p in sorted((tmp_path / "out").iterdir())] == [99, 99]
    said = capsys.readouterr().err
    assert "tiny.png: a net of scale 4 does not enlarge 8x8 12.38 times" in said
    assert "another --model or a smaller --width, at most 32" in said
    assert "wide.png: is 132 pixels wide already, and becomes smaller" in said
    more = ("--model", "x4-pixel", "-o", tmp_path / "named")
    assert status("upscale", tmp_path / "in", "--width", 99, *more) == 1
    assert len(list((tmp_path / "named").iterdir())) == 2


def test_evaluate_prints_and_saves(shelf, tmp_path, capsys):
    line = (
        "evaluate",
        "superres",
        "--data",
        shelf / "photos",
        "--scale",
        4,
        "--json",
        "deep/s.json",
        "--markdown",
        "s.md",
        "--sheet",
        "s.png",
    )
    assert status(*line) == 0
    out = capsys.readouterr().out
    assert out == (tmp_path / "s.md").read_text()
    models = json.loads((tmp_path / "deep" / "s.json").read_text())["models"]
    assert {"bicubic", "nearest", "lanczos", "x4-feature", "x4-pixel", "x4-pixel+histogram"} < set(
        models
    )
    assert (
        f"| x4-pixel | {models['x4-pixel']['psnr']:.2f} | {models['x4-pixel']['ssim']:.4f} |" in out
    )
    assert set(models["x4-pixel"]["images"]) == {"a.png", "b.jpg"}
    assert images.load_image(tmp_path / "s.png").shape[2] == 3


def test_evaluate_a_named_net_and_a_bad_picture(shelf, tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"no")
    line = (
        "evaluate",
        "superres",
        "--data",
        shelf / "photos" / "a.png",
        "bad.png",
        "--scale",
        4,
        "--model",
        "x4-pixel",
    )
    assert status(*line, "--degradation", "blur", "--no-match-histogram") == 1
    done = capsys.readouterr()
    assert "x4-feature" not in done.out
    assert "+histogram" not in done.out
    assert "bad.png" in done.err
    assert "warning: x4-pixel was trained on bicubic inputs" in done.err
