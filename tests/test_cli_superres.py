"""Super-resolution as a person types it: training, upscaling, evaluation; one-line errors, exit statuses."""

import json

import numpy as np
import pytest
from conftest import ROOT

from jaxpercept import config, images, transform_net, weights_file
from jaxpercept.cli import main, train_superres
from jaxpercept.cli.parser import build_parser


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A weights directory with tiny nets of scale 4, and a folder of pictures."""
    root = tmp_path_factory.mktemp("place")
    for seed, name in enumerate(("x4-feature", "x4-pixel")):
        net = config.superres_net(4).scaled(0.1)
        params, stats = transform_net.init(net, seed=seed)
        training = {"config": {"degradation": "bicubic"}}
        transform_net.save(root / "weights" / "superres" / f"{name}.safetensors", net, params, stats,
                           {"task": "superres", "training": training})  # fmt: skip
    (root / "weights" / "vgg16-imagenet.safetensors").symlink_to(ROOT / "weights" / "vgg16-imagenet.safetensors")
    random = np.random.default_rng(0)
    for name in ("a.png", "b.jpg"):
        images.save_image(root / "photos" / name, random.random((40, 44, 3), np.float32))
    return root


@pytest.fixture
def shelf(place, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXPERCEPT_WEIGHTS", str(place / "weights"))
    monkeypatch.chdir(tmp_path)
    return place


def status(*argv):
    try:
        return main([str(a) for a in argv])
    except SystemExit as e:
        return e.code


def parse(line):
    return train_superres.make_config(build_parser("jaxpercept").parse_args(line.split()))


def test_the_papers_numbers():
    made = parse("train superres --scale 8 --loss feature --preset paper --data d e")
    assert (made.task, made.net) == ("superres", config.superres_net(8, "paper"))
    assert (made.steps, made.batch_size, made.image_size, made.learning_rate) == (200_000, 4, 288, 1e-3)
    assert (made.schedule, made.degradation, made.data) == ("constant", "blur", ("d", "e"))
    assert (made.objective.weights, made.objective.content_layers) == ({"content": 1.0}, ("relu2_2",))


def test_defaults_are_the_recipes_and_options_override_them():
    made = parse("train superres --scale 4 --loss pixel --data d")
    assert made == config.TrainConfig(**config.superres_recipe(4), data=("d",))
    line = "train superres --scale 4 --loss pixel --data d --patch-size 64 --degradation blur --weights.content 2"
    made = parse(f"{line} --content-layers relu3_3 --width 0.5 --out o --init i --steps 9")
    assert made.objective.weights == {"l1": 1.0, "content": 2.0}
    assert made.objective.content_layers == ("relu3_3",)
    assert (made.image_size, made.degradation, made.out, made.init, made.steps) == (64, "blur", "o", "i", 9)
    assert made.net == config.superres_net(4).scaled(0.5)


def test_a_training_of_a_mix_resumes_and_its_file_says_how_it_was_made(shelf, tmp_path, capsys):
    line = "train superres --scale 2 --loss feature --content-layers relu1_1 --weights.pixel 0.1 --weights.l1 0"
    line += " --width 0.1 --patch-size 16 --batch-size 4 --out run --log-every 1 --degradation blur --data"
    assert status(*line.split(), shelf / "photos", "--steps", 1, "--schedule", "constant") == 0
    assert status(*line.split(), shelf / "photos", "--steps", 2, "--schedule", "constant") == 0
    assert "steps 2 to 2" in capsys.readouterr().err
    logged = [json.loads(row) for row in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [set(row) & set(config.TERM_NAMES) for row in logged] == [{"content", "pixel"}] * 2
    assert images.load_image(tmp_path / "run" / "previews" / "00000002.jpg").shape == (3 * 288, 3 * 288, 3)
    _, header = weights_file.read_weights(tmp_path / "run" / "model.safetensors")
    assert (header["task"], header["training"]["config"]["degradation"]) == ("superres", "blur")
    assert header["training"]["data"]["sources"] == [str(shelf / "photos")]
    assert config.net_from_dict(header["net"], "").scale == 2


BAD = {
    "train: scale": ("train superres --scale 3 --loss pixel --data P", "2, 4, 8"),
    "train: loss": ("train superres --scale 4 --loss pixels --data P", "feature, pixel"),
    "train: preset": ("train superres --scale 4 --loss pixel --data P --preset fast", "paper, best"),
    "train: no scale": ("train superres --loss pixel --data P", "--scale"),
    "train: patch of another scale": ("train superres --scale 8 --loss pixel --data P --patch-size 36", "use 32"),
    "train: small patch": ("train superres --scale 4 --loss pixel --data P --patch-size 8", "--patch-size 8"),
    "train: no style image": ("train superres --scale 4 --loss pixel --data P --weights.style 1", "content, tv, pixel"),
    "train: degradation": ("train superres --scale 4 --loss pixel --data P --degradation jpeg", "blur, bicubic"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_one_line_and_status_2(shelf, tmp_path, capsys, case):
    line, expected = BAD[case]
    words = {"P": str(shelf / "photos")}
    assert status(*[words.get(w, w) for w in line.split()]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1, errors
    assert expected in errors[-1]
    assert not list(tmp_path.iterdir())
