"""The shipped nets, by their files: each describes itself, holds no path, and works on a sample
photo.
"""

import importlib
import json
import sys
import types

import jax
import numpy as np
import pytest
from helpers import save_noise, status

from jaxpercept import config, images
from jaxpercept.errors import InputError
from jaxpercept.evaluation import superres
from jaxpercept.images import resampling, samples
from jaxpercept.inference import tiles, upscaling
from jaxpercept.inference.model import load_model
from jaxpercept.nets import net_file, shipped, vgg, weights_file

STYLES, SUPERRES = weights_file.available("styles"), weights_file.available("superres")


def test_what_is_shipped():
    assert "starry_night" in STYLES
    assert {"x2-pixel", "x4-feature", "x4-pixel", "x8-feature", "x8-pixel"} <= set(SUPERRES)
    assert all(upscaling.shipped(scale) for scale in config.SCALES)


def test_every_style_credits_its_work():
    assert all(len(shipped.credit(name).split(", ")) >= 3 for name in shipped.styles())


def test_a_misspelt_style_of_the_shared_net_is_suggested(capsys):
    assert status("stylize", "x.jpg", "--style", "tulp") == 2
    assert "--style tulp: no style of this name (did you mean tulip?)" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*STYLES, *SUPERRES])
def test_a_file_says_how_it_was_made(name):
    config, params, _, header = net_file.load(_path(name))
    training = header["training"]
    assert training["images"] >= training["steps"] > 0
    assert training["data"]["count"] > 0
    assert all(np.isfinite(value) for value in training["last"].values())
    assert (header["task"] == "superres") == (config.scale > 1)
    text = json.dumps(header)
    assert "../" not in text
    assert '"/' not in text  # no path of the machine that trained it
    assert sum(v.size for v in params.values()) < 700_000


def _path(name):
    return weights_file.resolve(name, "superres" if name in SUPERRES else "styles")


@pytest.fixture(scope="module")
def photo():
    return np.asarray(255 * samples.sample_photos()["coffee"][:160, 180:340] + 0.5, np.uint8)


@pytest.fixture(scope="module")
def features():
    """Returns a function to the deep features of images, each as one unit vector."""
    phi, of = (
        vgg.load_vgg16(),
        jax.jit(lambda phi, x: vgg.vgg_features(phi, x, ("relu4_3",))["relu4_3"]),
    )
    return lambda x: np.ravel(found := np.asarray(of(phi, x))) / np.linalg.norm(found)


@pytest.fixture(scope="module")
def unstyled(features, photo):
    """Returns the features of the photo, and of another one."""
    return features(photo[None] / np.float32(255)), features(
        samples.sample_photos()["chelsea"][None, :160, 100:260]
    )


@pytest.mark.parametrize("name", SUPERRES)
def test_super_resolution_beats_interpolation(name, photo):
    """Pixel nets win in PSNR, and all win in VGG's features, on inputs of their kind."""
    model = upscaling.load_upscaler(name)
    scale = model.config.scale
    inputs = model.header["training"]["config"]["degradation"]
    small = resampling.degrade(photo, scale, inputs).astype(np.float32) / 255
    distance = superres.feature_distance(("relu3_3", "relu4_3"))
    ours = tiles.run(model, small)
    bicubic = np.asarray(255 * resampling.upscale(small, scale).clip(0, 1) + 0.5, np.uint8)
    if name.endswith(("pixel", "restore")):
        gain = (
            superres.score(ours, photo, scale)["psnr"]
            - superres.score(bicubic, photo, scale)["psnr"]
        )
        assert gain > (1 if inputs == "bicubic" else 0.5)
    near, far = distance(ours, photo), distance(bicubic, photo)
    assert all(near[layer] < far[layer] for layer in near)


@pytest.mark.parametrize("name", shipped.styles())
def test_a_style_stays_recognisable_and_is_no_copy(name, photo, features, unstyled):
    """In VGG's deep features, the output is nearer to its photo than to another one."""
    x = photo[None].astype(np.float32) / 255
    y = np.asarray(load_model(name)(x))
    (content, elsewhere), styled = unstyled, features(y)
    assert content @ styled > 2 * (elsewhere @ styled)
    assert np.abs(y - x).mean() > 0.05


def test_a_shipped_style_is_replaced_only_for_a_clear_gain(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(root)
    styles = importlib.import_module("weights.shipped_styles")
    monkeypatch.setattr(styles, "FOLDER", tmp_path)
    one = types.SimpleNamespace(task="style")
    losses = {"first": 100.0, "little": 98.5, "much": 97.0}
    monkeypatch.setattr(
        styles, "held_out_objective", lambda made, path, photos: losses[held[path.stem]]
    )
    shipped, held = tmp_path / "wave.safetensors", {}
    for i, (name, kept) in enumerate([("first", "first"), ("little", "first"), ("much", "much")]):
        arrays, header = weights_file.read_weights(_path("wave"))
        header["training"]["config"] |= {
            "out": "/home/me/wave",
            "data": ["/home/me/photos"],
            "seed": i,
        }
        trained = weights_file.write_weights(tmp_path / f"{name}.safetensors", arrays, header)
        held[name], before = name, held.get("wave")
        if i:  # with fewer style layers, however good
            made = header["training"]["config"]
            fewer = {
                **made,
                "objective": {**made["objective"], "style_layers": config.STYLE_LAYERS[:3]},
            }
            fewer_header = {**header, "training": {**header["training"], "config": fewer}}
            part = weights_file.write_weights(
                tmp_path / f"part-{name}.safetensors", arrays, fewer_header
            )
            held[part.stem] = name
            styles.ship("wave", one, part, None, -1.0)
            assert weights_file.read_header(shipped)["training"]["config"]["seed"] < i
        styles.ship("wave", one, trained, None, 0.02)
        seed = weights_file.read_header(shipped)["training"]["config"]["seed"]
        held["wave"] = list(losses)[seed]
        assert held["wave"] == kept, before
        assert "/home" not in json.dumps(weights_file.read_header(shipped))


@pytest.mark.parametrize("gain", ["nan", "-0.1", "1"])
def test_a_gain_that_no_net_or_any_net_has_is_refused(root, monkeypatch, gain):
    monkeypatch.syspath_prepend(root)
    script = importlib.import_module("weights.train_styles")
    line = ["train_styles.py", "--photos", "none", "--paintings", "none", f"--gain={gain}"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(InputError, match=f"--gain {gain} is not allowed; give at least 0 and less"):
        script.main()


def test_nets_are_judged_by_the_sample_photos_or_by_those_given(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(root)
    styles = importlib.import_module("weights.shipped_styles")
    assert styles.judges(None).shape == (4, 256, 256, 3)
    for i in range(2):
        images.save_image(tmp_path / "photos" / f"{i}.png", np.full((300, 280, 3), i, np.float32))
    given = styles.judges([str(tmp_path / "photos")])
    assert (given.shape, given.mean((1, 2, 3)).tolist()) == ((2, 256, 256, 3), [0, 1])


def test_a_style_starts_from_the_better_of_its_own_net_and_the_row_of_multi(
    root, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(root)
    styles = importlib.import_module("weights.shipped_styles")
    monkeypatch.setattr(styles, "FOLDER", tmp_path)
    made = config.TrainConfig(out=str(tmp_path / "run"))
    assert styles.start("wave", made, None) is None
    arrays, header = weights_file.read_weights(_path("wave"))
    own = weights_file.write_weights(tmp_path / "wave.safetensors", arrays, header)
    multi = weights_file.write_weights(
        tmp_path / "multi.safetensors",
        arrays,
        header | {"styles": [{"name": "wave"}, {"name": "udnie"}]},
    )
    for of_multi, best in ((1.0, f"{multi}:wave"), (3.0, str(own))):
        loss = {own.name: 2.0, multi.name: of_multi}
        monkeypatch.setattr(
            styles, "held_out_objective", lambda made, path, *_, loss=loss: loss[path.name]
        )
        assert styles.start("wave", made, None) == best
        assert styles.start("wave", made, None, "own") == str(own)
        assert styles.start("wave", made, None, "some.safetensors") == "some.safetensors"
        assert styles.start("wave", made, None, "multi") == f"{multi}:wave"
    assert styles.start("udnie", made, None) == f"{multi}:udnie"
    assert styles.start("multi", made, None) == str(multi)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"init": "where it began"}')
    assert styles.start("wave", made, None) == "where it began"


def test_the_tiles_of_super_resolution_are_cut_from_three_kinds_of_photos(
    root, tmp_path, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(root)
    superres_tiles = importlib.import_module("weights.superres_tiles")
    large = save_noise(tmp_path / "large", [f"{i}.png" for i in range(5)], 576, 864)
    square = save_noise(tmp_path / "square", [f"{i}.png" for i in range(18)], 300, 300)
    small = save_noise(tmp_path / "small", ["f.png"], 240, 320)
    kinds = ("--large", str(large), "--square", str(square), "--small", str(small))
    monkeypatch.setattr("sys.argv", ["superres_tiles", *kinds, "--out", str(tmp_path / "out")])
    superres_tiles.main()
    of_large, of_large_flat = 5 * (2 * 3 + 1 * 1), 5 * (1 * 2)
    counts = round(0.6 * of_large) + 16 + 1, round(0.25 * of_large_flat), 150
    lines = [f"tiles: {counts[0]}", f"tiles_flat: {counts[1]}", f"tiles_grain: {counts[2]}"]
    assert [line.split("/")[-1] for line in capsys.readouterr().out.splitlines()] == [
        f"{line} tiles" for line in lines
    ]
    sides = {"tiles": (288, 288, 3), "tiles_flat": (192, 192, 3), "tiles_grain": (160, 160, 3)}
    for folder, shape in sides.items():
        files = images.list_images(tmp_path / "out" / folder)
        read = [images.load_image(path).shape for path in files if "f-60" not in path.name]
        assert set(read) == {shape}
