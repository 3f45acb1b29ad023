"""What `evaluate superres` reports: its protocol, its schema, and its treatment of bad pictures and
models.
"""

import dataclasses
import json

import jax
import numpy as np
import pytest
from helpers import thin
from PIL import Image

from jaxpercept import config, images
from jaxpercept.config import superres_net
from jaxpercept.errors import InputError
from jaxpercept.evaluation import metrics, styles, superres, superres_report
from jaxpercept.files import results
from jaxpercept.images import resampling, samples
from jaxpercept.nets import net_file, transform_net


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    photo = images.resize(next(iter(samples.sample_photos().values())), 83, "short")
    images.save_image(folder / "a.png", photo)
    grey = images.to_uint8(photo.mean(-1))
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "deep.png")
    Image.open(folder / "a.png").quantize(64).save(folder / "palette.png")
    images.save_image(folder / "tiny.png", photo[:31, :40])
    (folder / "broken.png").write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def save(path, scale, **training):
    net = superres_net(scale).scaled(0.1)
    params, stats = transform_net.init(net)
    params = params | {
        "head.kernel": 0 * params["head.kernel"],
        "head.bias": 0 * params["head.bias"],
    }
    net_file.save(path, net, params, stats, {"task": "superres", "training": {"config": training}})
    return path


@pytest.fixture(scope="module")
def result(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    model = save(out / "zero.safetensors", 4, degradation="blur")
    lines = []
    found = superres.evaluate_superres(
        folder, 4, [model], sheet=out / "sheet.png", progress=lines.append
    )
    return found | {"lines": lines, "sheet": out / "sheet.png"}


def test_names_and_schema(result):
    methods = ["nearest", "bicubic", "lanczos", "zero"]
    assert list(result["models"]) == [m + end for m in methods for end in ("", superres.MATCHED)]
    for entry in result["models"].values():
        assert set(entry) == {"psnr", "ssim", "images"}
        assert list(entry["images"]) == ["a.png", "deep.png", "grey.png", "palette.png"]
        assert entry["psnr"] == pytest.approx(
            np.mean([s["psnr"] for s in entry["images"].values()])
        )
    json.loads(results.encoded({k: v for k, v in result.items() if k not in ("sheet", "lines")}))


def test_a_bad_picture_is_named_and_the_rest_done(result):
    assert len(result["failed"]) == 2
    assert any(
        "tiny.png: 40x31 is too small for ×4; at least 32" in line for line in result["failed"]
    )
    assert any("broken.png" in line for line in result["failed"])
    assert sum(line.startswith("error: ") for line in result["lines"]) == 2


def test_a_net_that_adds_nothing_scores_as_bicubic(result):
    zero, bicubic = (result["models"][m]["images"] for m in ("zero", "bicubic"))
    for name in ("a.png", "grey.png"):
        assert zero[name]["psnr"] == pytest.approx(bicubic[name]["psnr"], abs=0.02)


def test_the_protocol_by_hand(folder, result):
    target = images.load_uint8(folder / "a.png")
    target = target[: target.shape[0] // 4 * 4, : target.shape[1] // 4 * 4]
    up = resampling.upscale(resampling.degrade(target, 4), 4)
    a, b = (metrics.luma(x / 255)[4:-4, 4:-4] for x in (up, target))
    found = result["models"]["bicubic"]["images"]["a.png"]
    assert found["psnr"] == pytest.approx(
        metrics.psnr(a, b, data_range=255), abs=0.02
    )  # rounded in float or uint8
    assert found["ssim"] == pytest.approx(metrics.ssim(a, b, data_range=255), abs=1e-3)


def test_a_grey_file_is_measured_on_its_grey_value(folder, result):
    grey = np.asarray(Image.open(folder / "grey.png"))
    grey = np.repeat(grey[: grey.shape[0] // 4 * 4, : grey.shape[1] // 4 * 4, None], 3, -1)
    up = resampling.upscale(resampling.degrade(grey, 4), 4)
    a, b = (x.mean(-1)[4:-4, 4:-4] for x in (up, grey))
    expected = metrics.psnr(a, b, data_range=255)
    for name in ("grey.png", "deep.png"):
        assert result["models"]["bicubic"]["images"][name]["psnr"] == pytest.approx(
            expected, abs=0.02
        )


def test_a_net_trained_on_other_inputs_is_warned_about(result):
    assert result["warnings"] == [
        "zero was trained on blur inputs and is measured on bicubic ones; see --degradation"
    ]


def test_the_sheet_and_the_tables(result):
    sheet = images.load_image(result["sheet"])
    assert sheet.shape[1] > 5 * 2 * 80
    text = superres_report.markdown(result)
    assert f"| bicubic | {result['models']['bicubic']['psnr']:.2f} |" in text
    assert "| a.png |" in text


def test_names_do_not_break_the_tables():
    scores = {"psnr": 30.0, "ssim": 0.9}
    models = {"a|b": {"images": {"x\ny<z.png": scores}, **scores}}
    text = superres_report.markdown({"models": models, "scale": 4, "degradation": "blur"})
    assert text.splitlines()[4] == r"| a\|b | 30.00 | 0.9000 |"
    assert text.splitlines()[6] == r"| method | x\ny\<z.png |"


def test_features_and_blur(folder, tmp_path):
    blur = save(tmp_path / "blur.safetensors", 4, degradation="blur")
    found = superres.evaluate_superres(
        folder / "a.png",
        4,
        [blur],
        degradation="blur",
        match=(False,),
        features=("relu1_1", "relu2_2"),
    )
    models = found["models"]
    assert set(models) == {"nearest", "bicubic", "lanczos", "blur"}
    assert not found["warnings"]
    assert models["bicubic"]["relu2_2"] > 0
    assert models["bicubic"]["images"]["a.png"]["relu1_1"] > 0


def test_what_cannot_be_evaluated(folder, tmp_path):
    other = save(tmp_path / "two.safetensors", 2)
    with pytest.raises(InputError, match=r"two.safetensors: a net of scale 2, not 4; of scale 4: "):
        superres.evaluate_superres(folder, 4, [other])
    with pytest.raises(InputError, match="scale 3"):
        superres.evaluate_superres(folder, 3, [])
    with pytest.raises(InputError, match=r"none of the 1 images could be used.*tiny"):
        superres.evaluate_superres(folder / "tiny.png", 4, [])
    with pytest.raises(InputError, match=r"sheet\.gif: unknown image suffix"):
        superres.evaluate_superres(folder, 4, [], sheet=tmp_path / "sheet.gif")
    with pytest.raises(InputError, match="relu9_9"):
        superres.evaluate_superres(folder, 4, [], features=("relu9_9",))


def test_a_sheet_that_cannot_be_written_costs_no_scores(folder, tmp_path):
    sheet = tmp_path / "file" / "sheet.png"
    (tmp_path / "file").write_text("")
    found = superres.evaluate_superres(folder / "a.png", 4, [], match=(False,), sheet=sheet)
    assert found["models"]["bicubic"]["psnr"] > 10
    assert len(found["failed"]) == 1
    assert "sheet.png: cannot be written" in found["failed"][0]


def test_the_held_out_objective_is_that_of_the_training(tmp_path):
    """Computes it by hand for a term that reads no layer, clipped if the training clips."""
    net = thin()
    wide = config.TransformNetConfig(**{**config.to_dict(net), "output_scale": 9.0})
    params, stats = transform_net.init(wide, seed=0)
    path = tmp_path / "n.safetensors"
    net_file.save(path, wide, params, stats, {"task": "style"})
    photos = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    applied = jax.jit(lambda *arrays: transform_net.apply(wide, *arrays)[0])
    output = np.asarray(applied(*net_file.load(path)[1:3], photos))
    assert output.max() > 1.5
    objective = config.ObjectiveConfig(weights={"l1": 2.0})
    for clip, expected in ((False, output), (True, output.clip(0, 1))):
        made = config.TrainConfig(objective=objective, clip=clip)
        found = styles.held_out_objective(made, path, photos)
        assert found == pytest.approx(2 * 255 * np.abs(expected - photos).mean(), rel=1e-4)
    with pytest.raises(InputError, match=r"other-vgg\.safetensors"):  # not by the shipped one
        styles.held_out_objective(
            dataclasses.replace(made, vgg=str(tmp_path / "other-vgg.safetensors")), path, photos
        )


def test_nets_are_measured_on_the_inputs_they_were_trained_on():
    assert superres.trained_for("bicubic", 4) == ["x4-feature", "x4-pixel"]
    assert superres.trained_for("jpeg", 4) == ["x4-restore"]
    assert superres.trained_for("blur", 8) == ["x8-feature", "x8-pixel"]  # none: all
