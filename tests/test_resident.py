"""`--cache device`: the pipeline's crops, cut on the device; several steps in one call."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import step_runs

from jaxpercept import config, data, images
from jaxpercept.data import loading
from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file
from jaxpercept.training import engines, loop, resident, runs

pytestmark = pytest.mark.usefixtures("cheap_trainings")
SIZE = 20


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for i in range(6):
        shape = (24 + 2 * i, 40 - 2 * i, 3)
        images.save_image(folder / f"{i}.png", random.random(shape).astype(np.float32))
    return folder


def make_config(photos, out, **kwargs):
    made = step_runs.pixel_config(photos, out)
    values = {"steps": 8, "log_every": 3, "checkpoint_every": 100, "preview_every": 100}
    return dataclasses.replace(made, cache="device", augment=True, **values | kwargs)


def made(photos, size=SIZE, augment=True):
    stream = data.make_dataset(
        data.open_sources([photos]),
        batch_size=4,
        image_size=size,
        seed=3,
        augment=augment,
        kind=data.Pick,
    )
    return stream, stream.load.pack()


def crops(packed, photo, seeds, augment=True, size=SIZE):
    cut = jax.vmap(lambda p, s: resident._crop(packed, p, s, size=size, augment=augment))
    packed = jax.tree.map(jnp.asarray, packed)
    numbers = jnp.full(len(seeds), photo, jnp.int32)
    return np.asarray(jax.jit(cut)(numbers, jnp.asarray(seeds, jnp.uint32)))


def metrics(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in runs.TIMING} for line in lines]


def test_plain_crops_are_the_photo_s_own_pixels_at_every_place(photos):
    stream, packed = made(photos, augment=False)
    whole = loading.Load(stream.load.source, SIZE, "resize", False, 0).decode(0)
    wide = whole.shape[1] - SIZE + 1
    assert whole.shape[0] == SIZE
    assert wide > 5
    found = crops(packed, 0, range(200), augment=False)
    places = [
        np.flatnonzero([(c == whole[:, i : i + SIZE]).all() for i in range(wide)]) for c in found
    ]
    counts = np.bincount([int(p) for (p,) in places], minlength=wide)
    assert counts.min() > 0.3 * 200 / wide


def test_augmented_crops_have_the_pipeline_s_distribution(tmp_path):
    """A photo whose colours tell the place: where crops lie, how large they are, how they are
    turned and brightened can be read off them. All means agree within five standard errors."""
    y, x = np.mgrid[0:46, 0:60] / 64
    images.save_image(tmp_path / "0.png", np.stack([x, y, (x + y) / 2], -1).astype(np.float32))
    stream, packed = made(tmp_path, size=40)
    host = np.stack(
        [
            stream.load._cut(loading.Load.decode(stream.load, 0), np.random.default_rng(i))
            for i in range(400)
        ]
    )
    device = crops(packed, 0, range(400), size=40)
    assert device.dtype == np.uint8

    def seen(found):
        found = found.astype(np.float64)
        rows, columns = (np.abs(np.diff(found.mean(axis), axis=1)).mean(1) for axis in (2, 1))
        slopes = np.sign(np.diff(found.mean(2), axis=1).mean(1))  # which way it is turned
        return np.concatenate([found.mean((1, 2)), found.std((1, 2)), rows, columns, slopes], 1)

    ours, theirs = seen(device), seen(host)
    error = np.sqrt((ours.var(0) + theirs.var(0)) / 400)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 5 * error + 1e-9).all()
    assert (np.abs(ours.std(0) / theirs.std(0) - 1) < 0.2).all()


@pytest.mark.parametrize("side", [20, 23])
def test_zooming_and_brightening_are_those_of_the_pipeline(side):
    window = np.random.default_rng(0).integers(0, 256, (23, 23, 3), np.uint8)
    gamma = np.array([0.7, 1.0, 1.4])
    table = np.round(255 * (np.arange(256)[:, None] / 255) ** gamma).astype(np.uint8)
    bright = table[window[:side, :side], np.arange(3)]
    expected = images.resize(bright, SIZE, method="bicubic")
    zoom = jax.jit(resident._brightened, static_argnums=3)
    found = zoom(jnp.asarray(window), jnp.float32(gamma), jnp.int32(side), SIZE)
    assert np.abs(np.asarray(found).astype(int) - expected).max() <= 1


def test_several_steps_in_a_call_see_the_same_crops_on_any_number_of_devices(photos):
    stream, packed = made(photos)
    batch = resident.stacked([next(stream) for _ in range(2)], 3)

    def keep(state, batch):
        seen = jax.lax.all_gather(batch["target"], engines.AXIS, tiled=True)
        return state + 1, {"target": seen, "step": state}

    class Config:
        image_size, augment = SIZE, True

    found = []
    for count in (1, 4):
        engine = engines.make_engine("shard_map", 4, jax.devices()[:count])
        step = engine.compile(resident.make_steps(Config, keep), 1)
        shards = {k: engine.shard(v) for k, v in batch.items()}
        state, seen = step(engine.replicate(np.int32(7)), shards, engine.replicate(packed))
        assert int(state) == 9  # the third was to fill up
        assert np.asarray(seen["step"])[:2].tolist() == [7, 8]
        found.append(np.asarray(engine.unreplicate(seen)["target"]))
    assert found[0].shape == (3, 4, SIZE, SIZE, 3)
    assert (found[0][0] != found[0][1]).any()
    np.testing.assert_array_equal(*found)


def test_a_killed_run_ends_bit_for_bit_the_same(photos, tmp_path):
    """It goes on in the middle of what was one call."""

    class Killed(BaseException):
        pass

    def kill(line):
        if line["step"] == 6:
            raise Killed

    loop.train(make_config(photos, tmp_path / "whole"))
    cut = make_config(photos, tmp_path / "cut", checkpoint_every=4)
    with pytest.raises(Killed):
        loop.train(cut, on_log=kill)
    loop.train(cut)
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
    assert [line["step"] for line in metrics(tmp_path / "cut")] == [3, 6, 8]
    ours, theirs = (
        weights_file.read_weights(tmp_path / out / "model.safetensors")[0]
        for out in ("cut", "whole")
    )
    assert all(np.array_equal(ours[k], theirs[k]) for k in theirs)
    with pytest.raises(InputError, match=r'cache: "device" → "host"'):
        loop.train(dataclasses.replace(cut, cache="host"))


def test_calls_end_where_something_is_shown_or_saved():
    run = config.TrainConfig(
        cache="device", steps=27, log_every=10, checkpoint_every=25, preview_every=12
    )
    found = [(part[0], part[-1]) for part in resident.calls(0, run)]
    assert found == [(1, 1), (2, 10), (11, 12), (13, 20), (21, 24), (25, 25), (26, 27)]
    assert [part[0] for part in resident.calls(24, run)] == [25, 26]
    one = dataclasses.replace(run, cache="host")
    assert [list(part) for part in resident.calls(24, one)] == [[25], [26], [27]]


def test_broken_photos_are_named_and_replaced(photos, tmp_path):
    for photo in photos.iterdir():
        (tmp_path / photo.name).write_bytes(photo.read_bytes())
    (tmp_path / "2.png").write_bytes(b"broken")
    stream, _ = made(tmp_path)
    picked = [next(stream)["photo"] for _ in range(6)]
    assert 2 not in np.concatenate(picked)
    assert [name[-5:] for name in stream.problems] == ["2.png"]


def test_the_device_is_chosen_where_the_photos_fit_or_the_run_began_so(tmp_path):
    class Device:
        process_index = 0

        def __init__(self, memory):
            self.memory_stats = lambda: memory and {"bytes_limit": memory}

    long = config.TrainConfig(out=str(tmp_path))  # no run of the user's
    needed = 100 * 256**2 * 3 * 1.5
    for memory, expected in (
        (None, "host"),
        (int(needed), "host"),
        (int(2 * needed) + 1, "device"),
    ):
        assert resident.choose_cache(long, 100, [Device(memory)]) == expected
    few = dataclasses.replace(long, steps=24)  # of 4 images
    assert resident.choose_cache(few, 100, [Device(10**12)]) == "host"
    given = dataclasses.replace(few, cache="device")
    assert resident.choose_cache(given, 100, [Device(None)]) == "device"
    enlarging = dataclasses.replace(long, task="superres", net=config.superres_net(4))
    for about, expected in (('{"cache": "device"}', "device"), ("{}", "host")):
        (tmp_path / "config.json").write_text(about)
        assert resident.choose_cache(long, 100, [Device(10**12)]) == expected
        assert resident.choose_cache(enlarging, 100, [Device(10**12)]) == "host"
    with pytest.raises(InputError, match=r"device: the photos take .* use host"):
        resident.check_room([np.zeros(100)], [Device(800)])
    with pytest.raises(InputError, match="for style transfer"):
        config.TrainConfig(task="superres", net=config.superres_net(4), cache="device")
