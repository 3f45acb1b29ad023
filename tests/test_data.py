"""The stream of batches is a pure function of its seed, resumes exactly, survives broken files;
packing round-trips.
"""

import errno
import io
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import CancelledError
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import png, save_noise
from PIL import Image

from jaxpercept import data
from jaxpercept.data import describe, loading, make_dataset, workers
from jaxpercept.errors import InputError
from jaxpercept.runtime import stopping


def gradient(seed, height, width):
    y, x = np.mgrid[:height, :width] / 64
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    return ((np.sin(np.stack([x, y, x + y], -1) * (seed % 5 + 1) + phase) + 1) * 127).astype(
        np.uint8
    )


@pytest.fixture
def folder(tmp_path):
    """Makes twelve images of mixed kinds and sizes, some nested, with short sides of 33 to 44."""
    root = tmp_path / "photos"
    (root / "sub" / "deep").mkdir(parents=True)
    for i in range(12):
        image = Image.fromarray(gradient(i, 33 + i, 60 - i))
        name = ("", "sub/", "sub/deep/")[i % 3] + f"{i}." + ("jpg", "png", "webp", "jpeg")[i % 4]
        image.convert(("RGB", "RGB", "RGBA", "CMYK")[i % 4]).save(root / name)
    return root


def stream(folder, step=0, **options):
    settings = {"batch_size": 4, "image_size": 32, "seed": 7, "threads": 2} | options
    given = [folder] if isinstance(folder, os.PathLike) else folder
    source = given if hasattr(given, "read") else data.open_sources(given)
    batches = make_dataset(source, **settings)
    batches.set_state({"step": step})
    return batches


def take(batches, count):
    try:
        return [next(batches)["target"] for _ in range(count)]
    finally:
        batches.close()


def equal(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_batches_are_uint8_and_decided_by_the_seed(folder):
    first = take(stream(folder), 8)
    assert all(b.shape == (4, 32, 32, 3) and b.dtype == np.uint8 for b in first)
    assert equal(first, take(stream(folder), 8))
    assert not equal(first, take(stream(folder, seed=8), 8))


def test_threads_cache_and_workers_change_nothing(folder):
    first = take(stream(folder), 8)
    assert equal(first, take(stream(folder, threads=1, cache_bytes=0), 8))
    assert equal(first, take(stream(folder, threads=5, cache_bytes=10_000), 8))


def test_worker_processes_give_the_same_and_name_broken_files(folder):
    (folder / "broken.jpg").write_bytes(b"not an image")
    here, there = stream(folder), stream(folder, workers=2)
    others = multiprocessing.active_children()  # of an earlier stream, which may be ending yet
    first = next(there)["target"]
    workers = [child for child in multiprocessing.active_children() if child not in others]
    assert len(workers) == 2
    for worker in (
        workers
    ):  # as Ctrl-C and a cluster do; the training answers. The second worker may just be starting
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker.pid, number)
    assert equal(take(here, 24), [first, *take(there, 23)])
    assert there.problems == here.problems != {}
    there.set_state({"step": 5})
    assert equal(take(there, 2), take(stream(folder, step=5), 2))


class Slow:
    """A source of one photo that takes its time."""

    def __init__(self, seconds):
        self.seconds, self.reads = seconds, []

    def __len__(self):
        return 1

    def name(self, index):
        return "slow.png"

    def read(self, index):
        self.reads.append(index)
        time.sleep(self.seconds)
        return png([bytes(3 * 40)] * 40, 40, 8, 2)


@pytest.mark.usefixtures("signals_at_rest")
def test_the_wait_for_the_first_batch_of_workers_can_be_interrupted():
    source = Slow(100)
    batches = stream(source, workers=2)
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    begun = time.monotonic()
    with stopping.interrupts(), pytest.raises(stopping.Interrupted):
        next(batches)
    batches.close()
    assert time.monotonic() - begun < source.seconds  # it did not wait for the photo
    assert not multiprocessing.active_children()


def test_a_worker_that_reads_slow_photos_is_not_waited_for(monkeypatch):
    """Grain waits until it has read its batch."""
    slow = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(100,))
    slow.start()
    monkeypatch.setattr(data.Batches, "_start", lambda self: SimpleNamespace(close=slow.join))
    monkeypatch.setattr(workers, "first", lambda stream: (loading._report([]), [slow]))
    monkeypatch.setattr(workers, "_PATIENCE", 0.1)
    batches = stream(Slow(0), workers=1)
    next(batches)
    batches.close()
    assert slow.exitcode == -signal.SIGKILL


def test_a_closed_stream_reads_the_photo_at_hand_and_no_more():
    source = Slow(0.3)
    batches = stream(source, batch_size=8, threads=1, cache_bytes=0)

    def read():
        with pytest.raises(CancelledError):
            next(batches)

    reading = threading.Thread(target=read)
    reading.start()
    while not source.reads:
        time.sleep(0.01)
    batches.close()
    reading.join()
    assert len(source.reads) == 1


def test_a_link_to_nothing_is_a_broken_image(folder):
    os.symlink(folder / "gone", folder / "link.jpg")
    batches = stream(folder)
    take(batches, 8)
    assert list(batches.problems) == [str(folder / "link.jpg")]
    assert describe([str(folder)])["count"] == 13


def test_other_libraries_descriptions_and_damaged_ones(folder):
    (folder / "dataset_info.json").write_text('{"citation": "", "task_templates": []}')
    assert describe([str(folder)])["count"] == 12
    (folder / "features.json").write_text("{}")
    with pytest.raises(InputError, match="not a TFDS dataset that can be read"):
        describe([str(folder)])


def test_resuming_continues_exactly(folder):
    whole = take(stream(folder), 11)
    part = stream(folder)
    assert equal(take(part, 5), whole[:5])
    state = part.get_state()
    assert state == {"step": 5, "broken": {}, "too_small": []}
    resumed = stream(folder)
    resumed.set_state(state)
    assert equal(take(resumed, 6), whole[5:])
    assert resumed.get_state() == {"step": 11, "broken": {}, "too_small": []}
    assert equal(take(stream(folder, step=9), 2), whole[9:])
    assert np.array_equal(*(next(stream(folder, step=10**9))["target"] for _ in range(2)))


def test_every_epoch_shows_every_image_once_in_another_order(folder):
    flat = folder.parent / "flat"
    flat.mkdir()
    for i in range(12):
        Image.new("RGB", (40, 36), (20 * i, 0, 0)).save(flat / f"{i}.png")
    seen = [b[:, 0, 0, 0].tolist() for b in take(stream(flat), 6)]
    epochs = [np.concatenate(half).tolist() for half in (seen[:3], seen[3:])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [20 * i for i in range(12)]
    assert epochs[0] != epochs[1]


def test_shards_are_parts_of_the_same_global_batch(folder):
    whole = take(stream(folder), 4)
    parts = [take(stream(folder, batch_size=2, shard=(i, 2)), 4) for i in range(2)]
    assert equal(whole, [np.concatenate(p) for p in zip(*parts, strict=True)])


def test_resize_keeps_proportions_and_crops_within(tmp_path):
    wide = np.zeros((50, 150, 3), np.uint8)
    wide[..., 0] = np.arange(150)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    crops = np.concatenate(take(stream(tmp_path, batch_size=1, image_size=25), 30)).astype(int)
    assert len({*crops[:, 0, 0, 0]}) > 10
    slopes = (crops[:, 12, 20, 0] - crops[:, 12, 4, 0]) / 16
    np.testing.assert_allclose(slopes, 2, atol=0.15)  # 50 rows become 25
    assert all(
        np.diff(b[0, 5, 2:-2, 0].astype(int)).min() > 0
        for b in take(stream(tmp_path, batch_size=1), 20)
    )


def test_fixed_squares_are_the_same_in_every_epoch(tmp_path):
    save_noise(tmp_path, ["wide.png"], 16, 64)
    source = data.Files([tmp_path / "wide.png"] * 4)
    options = {"batch_size": 1, "image_size": 16, "seed": 0}
    batches = make_dataset(source, **options, kind=data.Fixed)
    seen = [next(batches)["target"].tobytes() for _ in range(12)]
    assert 1 < len({*seen}) <= 4  # parts of the photo
    assert sorted(seen[:4]) == sorted(seen[4:8]) == sorted(seen[8:])
    drawn = make_dataset(source, **options)
    assert len({next(drawn)["target"].tobytes() for _ in range(12)}) > 4


def test_augmented_photos_are_turned_mirrored_and_zoomed_into_without_distortion(
    tmp_path, monkeypatch
):
    """The slopes of a linear ramp in x (red) and y (green) give the turn and the zoom, which is
    equal both ways."""
    monkeypatch.setattr(loading, "GAMMA", 0)
    monkeypatch.setattr(loading, "CHANNEL_GAMMA", 0)
    ramp = np.zeros((120, 160, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(160), np.arange(120)[:, None]
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    batches = np.concatenate(take(stream(tmp_path, augment=True, image_size=60), 20)).astype(float)[
        :, 5:-5, 5:-5
    ]
    down = (batches[:, -1] - batches[:, 0]).mean(1) / 49  # (80, 3): slopes of the channels
    across = (batches[:, :, -1] - batches[:, :, 0]).mean(1) / 49
    zooms = 2 / np.maximum(
        np.abs(down[:, 0]), np.abs(across[:, 0])
    )  # 60 pixels of 120: 2 per pixel without zoom
    jacobians = np.stack([down[:, :2], across[:, :2]], 1) * zooms[:, None, None] / 2
    assert 0.98 < zooms.min() < 1.03 < 1.11 < zooms.max() < 1.17
    np.testing.assert_allclose(jacobians, jacobians.round(), atol=0.05)
    assert len({tuple(j.round().ravel()) for j in jacobians}) == 8
    assert equal(
        take(stream(tmp_path, augment=True), 4),
        take(stream(tmp_path, augment=True, cache_bytes=0), 4),
    )


def test_augmented_photos_take_another_gamma_each_channel_nearly_the_same(tmp_path):
    for name, color in (("ends", (0, 64, 255)), ("grey", (64, 64, 64))):
        Image.new("RGB", (60, 48), color).save(tmp_path / f"{name}.png")
    colors = np.concatenate(take(stream(tmp_path, augment=True), 40))[:, 16, 16]
    ends = colors[:, 0] == 0
    assert ends.sum() == 80
    assert (colors[ends, 2] == 255).all()
    gammas = np.log(colors[~ends] / 255) / np.log(64 / 255)
    assert 0.55 < gammas.min() < 0.75 < 1.3 < gammas.max() < 1.78
    assert 1.1 < (gammas[:, 1] / gammas[:, 2]).max() < 1.38
    assert np.corrcoef(gammas.T).min() > 0.7


def test_patches_are_cut_not_resized_and_small_images_left_out(tmp_path):
    big = gradient(3, 48, 64)
    Image.fromarray(big).save(tmp_path / "big.png")
    Image.fromarray(big[:30]).save(tmp_path / "small.png")
    source = stream(tmp_path, crop="patch", augment=False, image_size=40)
    for patch in np.concatenate(take(source, 6)):
        assert any(
            np.array_equal(patch, big[t : t + 40, left : left + 40])
            for t in range(9)
            for left in range(25)
        )
    assert source.too_small == {str(tmp_path / "small.png")}
    assert source.problems == {}
    square = gradient(3, 40, 40)
    turned = [np.rot90(m, k) for m in (square, square[:, ::-1]) for k in range(4)]
    (tmp_path / "s").mkdir()
    Image.fromarray(square).save(tmp_path / "s" / "s.png")
    patches = np.concatenate(take(stream(tmp_path / "s", crop="patch", image_size=40), 10))
    assert {next(i for i, t in enumerate(turned) if np.array_equal(t, p)) for p in patches} == set(
        range(8)
    )
    with pytest.raises(InputError, match=r"no usable image.* smaller --patch-size"):
        take(stream(tmp_path, crop="patch", image_size=99), 1)


def test_broken_images_are_replaced_counted_and_named(folder, caplog):
    (folder / "text.jpg").write_text("no image")
    (folder / "sub" / "empty.png").write_bytes(b"")
    data = (folder / "0.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    with caplog.at_level(logging.WARNING):
        source = stream(folder)
        batches = take(source, 12)
    assert set(source.problems) == {
        str(folder / n) for n in ("text.jpg", "sub/empty.png", "cut.jpg")
    }
    assert len([r for r in caplog.records if "left out" in r.message]) == 3
    assert "text.jpg" in caplog.text
    assert all(b.shape == (4, 32, 32, 3) for b in batches)
    assert equal(batches[6:], take(stream(folder, step=6, threads=1), 6))


def test_nothing_left_or_too_much_broken_is_an_error(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_text("no image")
    with pytest.raises(InputError, match="no usable image"):
        take(stream(tmp_path), 1)
    Image.fromarray(gradient(1, 40, 40)).save(tmp_path / "good.png")
    assert take(stream(tmp_path), 3)[0].shape == (4, 32, 32, 3)
    for i in range(20):
        (tmp_path / f"more{i}.jpg").write_text("no image")
    with pytest.raises(InputError, match="11 of 24 training images cannot be read"):
        take(stream(tmp_path), 50)


def test_data_that_vanishes_is_an_error(folder):
    source = stream(folder, cache_bytes=0)
    next(source)
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"no usable image|cannot be read"):
        take(source, 100)


@pytest.mark.parametrize(
    "given", ["nowhere", "file.txt", "empty", "tfds:", "tfds:no_such_set", "tfds:coco/2014"]
)
def test_what_is_not_data_is_a_one_line_error(tmp_path, monkeypatch, given):
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "empty"))
    with pytest.raises(InputError) as error:
        stream([given if given.startswith("tfds:") else str(tmp_path / given)])
    assert given in str(error.value)
    assert "\n" not in str(error.value)


def test_several_folders_and_exclusion(folder, tmp_path):
    (tmp_path / "other").mkdir()
    Image.fromarray(gradient(1, 40, 40)).save(tmp_path / "other" / "o.png")
    both = [str(folder), str(tmp_path / "other")]
    assert describe(both)["count"] == 13
    assert describe([str(folder)], exclude=("*.webp", "sub/*"))["count"] == 3
    with pytest.raises(InputError, match="excluded"):
        describe([str(folder)], exclude=("*",))


def test_the_fingerprint_follows_the_files(folder):
    before = describe([str(folder)])
    assert before == describe([str(folder)])
    moved = folder.rename(folder.parent / "moved")
    assert describe([str(moved)])["fingerprint"] == before["fingerprint"]
    (moved / "0.jpg").write_bytes(b"other")
    assert describe([str(moved)])["fingerprint"] != before["fingerprint"]


@pytest.fixture
def tfds():
    import tensorflow_datasets  # takes half a second, which collecting the tests can do without

    return tensorflow_datasets


@pytest.fixture
def prepare(tfds):
    from jaxpercept.data import packing

    return packing.prepare


def test_packing_round_trips(folder, tmp_path, prepare, tfds):
    (folder / "broken.png").write_bytes(b"no")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient(2, 40, 60)).save(folder / "turned.jpg", exif=exif)
    done = prepare(folder, tmp_path / "out" / "packed")
    assert done["count"] == 13
    assert list(done["left_out"]) == ["broken.png"]
    assert sorted(os.listdir(tmp_path / "out")) == ["packed"]
    assert "tensorflow" not in sys.modules
    builder = tfds.builder_from_directory(tmp_path / "out" / "packed")
    examples = builder.as_data_source(split="train", decoders={"image": tfds.decode.SkipDecoding()})
    stored = {e["image/filename"].decode(): e["image"] for e in examples}
    assert stored["0.jpg"] == (folder / "0.jpg").read_bytes()
    with (
        Image.open(io.BytesIO(stored["turned.jpg"])) as upright,
        Image.open(
            io.BytesIO(stored["2.webp"] if "2.webp" in stored else stored["sub/deep/2.webp"])
        ) as webp,
    ):
        assert upright.size == (40, 60)
        assert webp.format == "JPEG"
    assert take(stream(tmp_path / "out" / "packed", image_size=16), 4)[3].shape == (4, 16, 16, 3)
    assert describe([str(tmp_path / "out" / "packed")])["count"] == 13
    with pytest.raises(InputError, match="exists already"):
        prepare(folder, tmp_path / "out" / "packed")


def test_packing_shrinks_on_request(folder, tmp_path, monkeypatch, prepare, tfds):
    with monkeypatch.context() as patched:
        patched.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's limit, in place of larger images
        assert not prepare(folder, tmp_path / "packed", max_side=20)["left_out"]
    examples = tfds.builder_from_directory(tmp_path / "packed").as_data_source(split="train")
    assert {max(e["image"].shape) for e in examples} == {20}
    with pytest.raises(InputError, match=r"^max_side 3 is not allowed; give at least 16"):
        prepare(folder, tmp_path / "none", max_side=3)


def test_failed_packing_leaves_nothing(folder, tmp_path, monkeypatch, prepare):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.jpg").write_bytes(b"no")
    with pytest.raises(InputError, match="1 of 1 images cannot be read"):
        prepare(bad, tmp_path / "packed")
    with pytest.raises(InputError, match="no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "packed")
    monkeypatch.setattr(
        os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(InputError, match="No space left"):
        prepare(folder, tmp_path / "packed")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "photos"]


@pytest.mark.parametrize("link", [False, True])
def test_packing_into_an_empty_folder_that_stays(link, tmp_path, monkeypatch, prepare):
    """It may be the current folder, a link or a mount point, which cannot be replaced."""
    save_noise(tmp_path / "photos", ["a.png"], 40, 40)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / ".jaxpercept-1-0.tmp").touch()  # of a killed process
    before = empty.stat().st_ino
    monkeypatch.chdir(empty)
    (tmp_path / "link").symlink_to(empty)
    prepare(tmp_path / "photos", tmp_path / "link" if link else ".")
    assert empty.stat().st_ino == before
    assert not list(empty.glob(".*"))
    assert describe([str(empty)])["count"] == 1


@pytest.fixture
def coco(tmp_path, tfds):
    from coco import Coco

    Coco(
        config="2014", data_dir=tmp_path / "sets", file_format="array_record"
    ).download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    return tmp_path / "sets"


def test_a_data_set_with_cocos_features(coco, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(coco))
    named = take(stream(["tfds:coco/2014"]), 3)
    assert named[0].shape == (4, 32, 32, 3)
    assert (
        describe(["tfds:coco/2014"])["count"]
        == describe(["tfds:coco/2014:1.1.0:train"])["count"]
        == 3
    )
    assert describe(["tfds:coco/2014:validation"])["count"] == 1
    assert equal(named, take(stream(coco / "coco" / "2014" / "1.1.0"), 3))
    assert equal(named, take(stream(coco), 3))
    assert "tensorflow" not in sys.modules
    with pytest.raises(InputError, match="Unknown split 'test'"):
        stream(["tfds:coco/2014:test"])


def test_names_that_are_not_utf8_fifos_and_common_suffixes(folder, tmp_path, caplog, prepare):
    """These are trained on and packed. A FIFO is left out without waiting for it, and other files
    are counted."""
    odd = os.path.join(os.fsencode(folder), b"caf\xe9.jfif")
    shutil.copy(folder / "0.jpg", odd)
    Image.fromarray(gradient(20, 40, 40)).save(folder / "x.avif")
    Image.fromarray(gradient(21, 40, 40)).save(folder / "y.tif")
    os.mkfifo(folder / "wait.jpg")
    (folder / "notes.txt").write_text("")
    assert describe([str(folder)])["count"] == 15
    with caplog.at_level(logging.INFO):
        stream(folder)
    assert "left out of the folders: 1 .txt, 1 FIFO (pipe)" in caplog.text
    done = prepare(folder, tmp_path / "packed")
    assert (done["count"], done["left_out"]) == (15, {})
    assert dict(done["other"]) == {".txt": 1, "FIFO (pipe)": 1}
    assert describe([str(tmp_path / "packed")])["count"] == 15


def test_packing_to_a_full_disk_says_make_room(folder, tmp_path, monkeypatch, prepare, tfds):
    def full(self, **_):
        raise RuntimeError("write() failed: No space left on device; writing somewhere")

    monkeypatch.setattr(tfds.core.GeneratorBasedBuilder, "download_and_prepare", full)
    with pytest.raises(InputError, match=r"out: cannot be written \(No space.*make room$"):
        prepare(folder, tmp_path / "packed" / "out")
    assert os.listdir(tmp_path / "packed") == []


def test_a_photo_with_a_colour_profile_is_trained_on_as_it_looks(tmp_path, prepare):
    """Display P3's red is beyond sRGB's red, and half red differs from its raw numbers."""
    import profiles

    made = Image.new("RGB", (40, 40), (200, 100, 60))
    (tmp_path / "photos").mkdir()
    made.save(tmp_path / "photos" / "p3.png", icc_profile=profiles.rgb())
    batch = next(stream(tmp_path / "photos", batch_size=1, image_size=32))["target"]
    seen = batch.reshape(-1, 3).mean(0)
    assert seen[0] > 206
    assert seen[1] < 98
    prepare(tmp_path / "photos", tmp_path / "packed")
    packed = next(stream(tmp_path / "packed", batch_size=1, image_size=32))["target"]
    np.testing.assert_allclose(packed.reshape(-1, 3).mean(0), seen, atol=1)


def test_a_runs_own_pictures_are_no_training_data(folder):
    count = len(data.open_sources([folder]))
    (folder / "run" / "previews").mkdir(parents=True)
    shutil.copy(next(folder.glob("*.*g")), folder / "run" / "previews" / "1.jpg")
    assert len(data.open_sources([folder])) == count + 1
    assert len(data.open_sources([folder], own=str(folder / "run"))) == count
    assert len(data.open_sources([folder], own=str(folder))) == count + 1  # then nothing is left
    (folder / "run" / "previews").rename(folder / "previews")
    assert len(data.open_sources([folder], own=str(folder))) == count


def test_folders_that_may_not_be_read(folder, monkeypatch, caplog):
    """Root may read all, so the tests pretend."""
    (folder / "closed").mkdir()
    closed, scandir = folder / "closed", os.scandir

    def refused(path="."):
        if os.fspath(path) == str(closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    stream(folder)
    assert f"{folder}: left out of the folders: 1 unreadable folder" in caplog.text
    with pytest.raises(InputError, match=r"closed: no image .* folders: 1 unreadable folder"):
        stream(closed)


def test_photos_beside_a_dataset_are_said_to_be_left_out(folder, prepare, caplog):
    count = len(data.open_sources([folder]))
    prepare(folder, folder / "packed")
    assert len(data.open_sources([folder / "packed"])) == count
    said = f"only the dataset {folder / 'packed'} is read, and not the {count} images"
    assert said not in caplog.text
    assert len(data.open_sources([folder])) == count
    assert f"{folder}: {said}" in caplog.text


def test_a_fifo_is_no_dataset(folder):
    (folder / "features.json").write_text("{}")
    os.mkfifo(folder / "dataset_info.json")
    assert data.tfds.prepared(folder) == []
