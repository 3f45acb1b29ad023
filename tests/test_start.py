"""A run is prepared once: it uses its files as they were then, whatever happens to them later."""

import dataclasses
import logging
import shutil
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import save_noise, tiny

from jaxpercept import config, data, images
from jaxpercept.errors import InputError
from jaxpercept.losses import terms
from jaxpercept.nets import weights_file
from jaxpercept.training import loop, start

pytestmark = pytest.mark.usefixtures("cheap_trainings")
NET = tiny("paper")


def objective(**layers):
    """Leaves the loss network out of the step, which then compiles in a second. The style image is
    still read."""
    given = {"content_layers": ("relu1_1",), "style_layers": ("relu1_1",), **layers}
    return config.ObjectiveConfig(losses="paper", weights={"pixel": 1.0}, **given)


@pytest.fixture
def made(tmp_path):
    """Returns a run of one step."""
    save_noise(tmp_path / "photos", [f"{i}.png" for i in range(4)], 20, 24)
    save_noise(tmp_path, ["style.png"], 24, 20)
    return config.TrainConfig(
        data=(str(tmp_path / "photos"),),
        style_image=str(tmp_path / "style.png"),
        style_size=0,
        out=str(tmp_path / "run"),
        net=NET,
        objective=objective(),
        steps=1,
        batch_size=4,
        image_size=16,
    )


def on(made, **changes):
    """Runs two more steps."""
    return dataclasses.replace(made, steps=3, **changes)


def test_a_run_made_with_lists_and_paths_resumes_itself(made, tmp_path):
    plain = {
        "exclude": ["*.tmp"],
        "data": [tmp_path / "photos"],
        "out": tmp_path / "run",
        "style_images": [tmp_path / "style.png"],
        "objective": objective(content_layers=["relu1_1"]),
        "learning_rate": np.float32(0.001),
    }
    loop.train(dataclasses.replace(made, **plain))
    header = weights_file.read_header(loop.train(on(made, **plain)))
    assert header["training"]["steps"] == 3


def test_a_style_image_that_is_overwritten_or_deleted_while_the_run_goes_on(made, tmp_path, capsys):
    style, init = tmp_path / "style.png", tmp_path / "init.safetensors"
    shutil.copy(loop.train(dataclasses.replace(made, out=str(tmp_path / "first"))), init)
    before = weights_file.sha256(style)

    def disturb(line):
        init.unlink(missing_ok=True)
        if line["step"] == 3:
            style.unlink()
        else:
            images.save_image(style, np.zeros((24, 20, 3), np.float32))

    again = on(made, init=str(init), log_every=1)
    header = weights_file.read_header(loop.train(again, on_log=disturb))
    assert header["style"] == {"file": "style.png", "sha256": before}
    assert header["training"]["steps"] == 4
    assert f", init {init}, 4 images" in capsys.readouterr().err


def test_every_file_is_hashed_once_and_the_photos_are_listed_once(made, tmp_path, monkeypatch):
    for i in range(2):
        shutil.copy(tmp_path / "photos" / f"{i}.png", tmp_path / f"style{i}.png")
    styles = tuple(str(tmp_path / f"style{i}.png") for i in range(2))
    several = dataclasses.replace(
        made,
        task="multistyle",
        style_images=styles,
        net=dataclasses.replace(NET, norm="instance", styles=2),
    )
    hashed, opened = [], []
    sha256, open_sources = weights_file.sha256, data.open_sources
    monkeypatch.setattr(weights_file, "sha256", lambda p: hashed.append(str(p)) or sha256(p))
    monkeypatch.setattr(
        data, "open_sources", lambda *a, **k: opened.append(a) or open_sources(*a, **k)
    )
    prepared = start.prepare(several)
    assert hashed == list(styles)
    assert len(opened) == 1
    assert [s.name for s in prepared.styles] == ["style0", "style1"]
    assert prepared.hashes["styles"][1]["sha256"] == sha256(styles[1])


def test_photos_that_changed_are_counted_and_one_is_named(made, tmp_path):
    loop.train(made)
    photos = tmp_path / "photos"
    for name in ("4.png", "5.png"):
        shutil.copy(photos / "3.png", photos / name)
    (photos / "0.png").unlink()
    images.save_image(photos / "1.png", np.zeros((20, 30, 3), np.float32))
    said = r"images: 2 new \(4.png, …\), 1 gone \(0.png\), 1 of another size \(1.png\)\)"
    with pytest.raises(InputError, match=said):
        loop.train(on(made))
    (tmp_path / "run" / "images.txt").unlink()  # as in an earlier version
    with pytest.raises(InputError, match=r"other settings \(images: 4 → 5\)"):
        loop.train(on(made))


def test_photos_in_another_order_are_named_so(made, tmp_path):
    save_noise(tmp_path / "more", ["9.png"], 20, 24)
    both = (*made.data, str(tmp_path / "more"))
    loop.train(dataclasses.replace(made, data=both))
    with pytest.raises(InputError, match=r"images: still 5, but in another order\)"):
        loop.train(on(made, data=both[::-1]))


def test_a_finished_run_says_that_it_is_finished(made, capsys):
    loop.train(made)
    capsys.readouterr()
    loop.train(made)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "this run had already finished at step 1; nothing is left to do" in said[0]


def mean_of(inputs):
    return inputs.output.mean((1, 2, 3))


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (terms.LossTerm("own", lambda i: i.output.mean()), "'own' returned .*one number per image"),
        (terms.LossTerm("own", lambda i: mean_of(i) * i.features["relu1_2"].mean()), "did not ask"),
        (terms.LossTerm("own", mean_of, style_grams=("relu1_1",)), "'own' needs the style's Gram"),
        (mean_of, "is not a LossTerm; give LossTerm"),
    ],
)
def test_a_users_terms_are_tried_before_anything_is_written(made, term, message):
    with pytest.raises(InputError, match=message):
        loop.train(dataclasses.replace(made, style_image=None), terms=[term])
    assert not Path(made.out).exists()


def test_a_users_term_called_style_with_a_weight_of_jax(made):
    """It reads Gram matrices at a layer that the config does not name, and its run continues."""

    def style(inputs):
        return mean_of(inputs) * inputs.style_grams["relu1_2"].sum()

    own = [terms.LossTerm("style", style, jnp.float32(2), style_grams=("relu1_2",))]
    loop.train(made, terms=own)
    header = weights_file.read_header(loop.train(on(made), terms=own))
    assert header["training"]["terms"] == {"style": 2.0}


def test_the_users_process_is_left_as_it_was(made):
    hook = sys.unraisablehook
    filters = [list(logging.getLogger(name).filters) for name in ("absl", "asyncio")]
    loop.train(made)
    assert sys.unraisablehook is hook
    assert [logging.getLogger(name).filters for name in ("absl", "asyncio")] == filters


def test_one_style_image_or_many_are_one_field(made):
    (file,) = made.style_images
    assert made.style_image == file
    assert "style_image" not in config.to_dict(made)
    assert dataclasses.replace(made, steps=2).style_images == (file,)
    assert dataclasses.replace(made, style_images=("b.png",)).style_image == "b.png"
    assert dataclasses.replace(made, style_image="b.png").style_images == ("b.png",)
    assert dataclasses.replace(made, style_image=None).style_images == ()
    assert dataclasses.replace(made, style_image=Path("b.png")).style_images == ("b.png",)
    today = config.to_dict(made) | {"style_image": "a.png", "style_images": []}
    assert config.train_config_from_dict(today).style_images == ("a.png",)
    several = {"task": "multistyle", "net": dataclasses.replace(NET, norm="instance", styles=3)}
    two = dataclasses.replace(made, style_images=("a.png", "b.png"), **several)
    assert two.style_image is None
    assert dataclasses.replace(two, steps=2) == dataclasses.replace(two, steps=2)
    assert list(two.trained_rows) == [1, 2]
    assert not made.trained_rows
    today = config.to_dict(two) | {"style_image": None}
    assert config.train_config_from_dict(today) == two
    with pytest.raises(InputError, match="not both"):
        dataclasses.replace(two, style_image="c.png")
    with pytest.raises(InputError, match="'superres' with 1 style_images"):
        dataclasses.replace(made, task="superres")
