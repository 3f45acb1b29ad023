"""Any file comes out as RGB in [0, 1], upright; bad files are one-line errors; writing is whole or
nothing.
"""

import io
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers import png
from PIL import Image

from jaxpercept.errors import InputError
from jaxpercept.images import (
    contact_sheet,
    fetch,
    find_images,
    left_out_line,
    list_images,
    load_image,
    load_uint8,
    match_histogram,
    read,
    resize,
    save_image,
    size_of,
)


@pytest.fixture
def picture():
    """Returns a smooth uint8 image, 36 high and 52 wide, different in every corner."""
    y, x = np.mgrid[:36, :52]
    return np.stack([x * 4, y * 6, 200 - x * 2 - y], axis=-1).astype(np.uint8)


def written(tmp_path, image, name, **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_an_8_bit_png_comes_back_exactly(tmp_path, picture):
    path = written(tmp_path, Image.fromarray(picture), "a.png")
    x = load_image(path)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, picture.astype(np.float32) / 255)
    np.testing.assert_array_equal(load_uint8(path), picture)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_exif_orientation_is_applied(tmp_path, picture, orientation, kind):
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
    }
    stored |= {
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a),
        7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
    }
    stored[8] = lambda a: np.rot90(a, -1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored[orientation](picture)))
    path = written(tmp_path, image, f"a.{kind}", exif=exif, quality=98)
    assert np.abs(load_image(path) * 255 - picture).mean() < 3
    assert np.abs(load_uint8(path).astype(int) - picture).mean() < 3
    small = load_uint8(path, short=9)
    assert np.abs(small.astype(int) - resize(picture, 9)).mean() < 4


@pytest.mark.parametrize("name", ["g.png", "g.jpg", "g.webp", "g.tif"])
def test_grey_is_repeated(tmp_path, picture, name):
    x = load_image(written(tmp_path, Image.fromarray(picture[..., 0]), name))
    assert x.shape == picture.shape
    assert np.abs(x - picture[..., :1] / 255).max() < 0.03


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey_keeps_its_bits(tmp_path, name):
    grey = np.arange(32 * 40, dtype=np.uint16).reshape(32, 40) * 51
    path = written(tmp_path, Image.fromarray(grey), name)
    np.testing.assert_allclose(
        load_image(path), np.repeat(grey[..., None] / 65535, 3, -1), atol=1e-6
    )
    np.testing.assert_array_equal(load_uint8(path)[..., 1], np.round(grey / 257).astype(np.uint8))
    assert load_uint8(path, short=16).shape == (16, 20, 3)


def png16(rgb):
    """Returns a 16-bit RGB PNG, which Pillow reads but cannot write."""
    return png([row.astype(">u2").tobytes() for row in rgb], rgb.shape[1], 16, 2)


def test_16_bit_colour_comes_out_within_one_step_of_8_bits(picture):
    rgb = picture.astype(np.uint16) * 257 + np.arange(52, dtype=np.uint16)[:, None]
    assert np.abs(load_image(png16(rgb)) - rgb / 65535).max() <= 1 / 255


def test_1_bit_is_black_and_white(tmp_path, picture):
    mask = picture[..., 0] > 100
    np.testing.assert_array_equal(
        load_image(written(tmp_path, Image.fromarray(mask), "m.png"))[..., 2], mask
    )


@pytest.mark.parametrize("name", ["c.jpg", "c.tif"])
def test_cmyk_is_converted(tmp_path, picture, name):
    path = written(tmp_path, Image.fromarray(picture).convert("CMYK"), name)
    assert np.abs(load_image(path) - picture / 255).mean() < 0.02
    assert np.abs(load_uint8(path, short=36) / 255 - picture / 255).mean() < 0.02


@pytest.mark.parametrize("name", ["p.png", "p.gif"])
def test_a_palette_is_looked_up(tmp_path, picture, name):
    flat = (picture // 64) * 64
    np.testing.assert_array_equal(
        load_uint8(written(tmp_path, Image.fromarray(flat).quantize(256), name)), flat
    )


def test_palette_transparency_and_grey_with_alpha_lie_on_white(tmp_path):
    index = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "L").convert("P")
    index.putpalette([255, 0, 0, 0, 0, 255])
    x = load_image(written(tmp_path, index, "t.png", transparency=bytes([128, 255])))
    np.testing.assert_allclose(x[0, 0], [1, 127 / 255, 127 / 255], atol=1e-6)
    np.testing.assert_array_equal(x[0, 1], [0, 0, 1])
    x = load_image(written(tmp_path, Image.new("LA", (3, 2), (0, 51)), "la.png"))
    np.testing.assert_allclose(x, 0.8, atol=1e-6)


def test_alpha_is_composited_on_white_and_available_apart(tmp_path, picture):
    alpha = np.linspace(0, 255, 36 * 52).astype(np.uint8).reshape(36, 52)
    path = written(tmp_path, Image.fromarray(np.dstack([picture, alpha])), "a.png")
    a = alpha[..., None] / 255
    np.testing.assert_allclose(load_image(path), picture / 255 * a + 1 - a, atol=1e-6)
    rgb, kept = read(path).pixels, read(path).alpha
    np.testing.assert_allclose((rgb * 255)[alpha > 0], picture[alpha > 0], atol=1e-4)
    np.testing.assert_allclose(kept * 255, alpha, atol=1e-4)
    assert read(written(tmp_path, Image.fromarray(picture), "o.png")).alpha is None


def test_draft_decoding_of_a_large_jpeg_stays_close(tmp_path):
    y, x = np.mgrid[:600, :900] / 600
    big = (np.stack([x / 1.5, y, 0.5 + 0.3 * np.sin(9 * x)], -1) * 255).astype(np.uint8)
    path = written(tmp_path, Image.fromarray(big), "b.jpg", quality=97)
    small = load_uint8(path, short=64)
    assert small.shape == (64, 96, 3)
    assert np.abs(small / 255 - resize(load_image(path), 64, method="bicubic")).max() < 0.03


def one_line(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
    return text


def test_bad_files_are_one_line_errors(tmp_path, picture):
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) * 2 // 3])
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    (tmp_path / "cut.png").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    for name in ("text.jpg", "empty.png", "cut.jpg", "cut.png", "missing.png", "."):
        with pytest.raises(InputError) as error:
            load_image(tmp_path / name)
        one_line(error, str(tmp_path / name))
        with pytest.raises(InputError):
            load_uint8(tmp_path / name, short=8)


def test_too_many_pixels_are_refused_before_decoding(tmp_path, picture):
    path = written(tmp_path, Image.fromarray(picture), "a.png")
    with pytest.raises(InputError) as error:
        load_image(path, max_pixels=36 * 52 - 1)
    one_line(error, "52x36", "--max-pixels")
    assert load_image(path, max_pixels=36 * 52).shape == (36, 52, 3)


def test_our_limit_stands_instead_of_pillows(tmp_path, picture, monkeypatch):
    path = written(tmp_path, Image.fromarray(picture), "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load_image(path).shape == (36, 52, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".tif"])
def test_saving_rounds_to_nearest(tmp_path, suffix):
    x = np.full((4, 5, 3), (100.4, 100.6, 300.0), np.float32) / 255
    path = save_image(tmp_path / "new" / "folder" / f"o{suffix}", x)
    assert np.asarray(Image.open(path))[0, 0].tolist() == [100, 101, 255]
    assert os.listdir(path.parent) == [path.name]


def test_jpeg_and_webp_are_what_their_suffix_says(tmp_path, picture):
    for suffix, kind in ((".jpg", "JPEG"), (".jpeg", "JPEG"), (".webp", "WEBP")):
        path = save_image(tmp_path / f"o{suffix}", picture)
        with Image.open(path) as image:
            assert image.format == kind
        assert np.abs(load_image(path) * 255 - picture).mean() < 3


def test_alpha_is_kept_where_the_format_can(tmp_path, picture):
    alpha = np.full((36, 52), 0.5, np.float32)
    x = picture.astype(np.float32) / 255
    made = read(save_image(tmp_path / "a.png", x, alpha=alpha))
    np.testing.assert_array_equal(made.pixels * 255, picture)
    np.testing.assert_allclose(made.alpha, 0.5, atol=1 / 255)
    flat = load_image(save_image(tmp_path / "a.jpg", x, alpha=alpha))
    assert np.abs(flat - (x / 2 + 0.5)).mean() < 0.01


def test_what_cannot_be_saved(tmp_path, picture):
    with pytest.raises(InputError, match=r"unknown image suffix '\.xyz'; use one of \.png"):
        save_image(tmp_path / "a.xyz", picture)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_image(tmp_path / "file" / "a.png", picture)
    with pytest.raises(ValueError, match="not finite"):
        save_image(tmp_path / "a.png", np.full((4, 4, 3), np.nan))
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path, picture, monkeypatch):
    path = save_image(tmp_path / "a.png", picture)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        save_image(path, picture // 2)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.png"]


def test_resize_sizes_and_ranges(picture):
    x = picture.astype(np.float32) / 255
    assert resize(x, 18).shape == (18, 26, 3)
    assert resize(x, 26, "long").shape == (18, 26, 3)
    assert resize(x, (7, 9)).shape == (7, 9, 3)
    assert resize(x[..., 0], 18).shape == (18, 26)
    assert resize(picture, 18).dtype == np.uint8
    np.testing.assert_allclose(resize(x, 18), resize(picture, 18) / 255, atol=1.5 / 255)
    step = np.zeros((16, 16, 3), np.float32)
    step[8:] = 1
    assert resize(step, 61).min() == 0
    assert resize(step, 61).max() == 1
    with pytest.raises(InputError, match="size 0"):
        resize(x, 0)


def test_list_images_is_natural_nested_and_unique(tmp_path, picture):
    for name in ("10.jpg", "2.jpg", "sub/b.PNG", "sub/a.webp", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    names = [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path)]
    assert names == ["2.jpg", "10.jpg", "sub/a.webp", "sub/b.PNG"]
    again = list_images([tmp_path / "10.jpg", f"{tmp_path}/*.jpg", tmp_path])
    assert [p.name for p in again] == ["10.jpg", "2.jpg", "a.webp", "b.PNG"]
    assert list_images(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", f"{tmp_path}/*.gif", tmp_path / "no.png"):
        with pytest.raises(InputError):
            list_images([nothing])


def test_digits_that_are_no_numbers_are_sorted_as_letters(tmp_path):
    for name in ("1²2.jpg", "①3.jpg", "٣.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert sorted(p.name for p in list_images(tmp_path)) == ["1²2.jpg", "٣.jpg", "①3.jpg"]


def test_links_to_folders_name_no_file_anew(tmp_path, monkeypatch):
    """glob.glob follows one that leads back forty times, and two of them for ever."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.png", "b/2.png", "b/c/3.png", "b/.h/4.png", "notes.txt"):
        Path(name).parent.mkdir(exist_ok=True, parents=True)
        Path(name).write_bytes(b"x")
    for number, place in enumerate(("..", "../b", ".")):
        Path(f"a/{number}").symlink_to(place)
    Path("b/5.png").symlink_to("5.png")
    every = ["a/1.png", "b/2.png", "b/5.png", "b/c/3.png"]
    for given, names in (
        (".", every),
        ("**", every),
        ("**/*.png", every),
        ("**/c/*.png", every[3:]),
        ("[b]/**/*.png", [*every[1:3], "b/c/3.png"]),
        ("**/**/3.png", every[3:]),
        (f"{tmp_path}/b/**/c", every[3:]),
    ):
        found = [Path(os.path.abspath(path)) for path in list_images(given)]
        assert [path.relative_to(tmp_path).as_posix() for path in found] == names, given


def test_folders_count_what_they_have_besides_images(tmp_path):
    for name in (
        "a.JPE",
        "b.jfif",
        "c.mpo",
        "d.avif",
        "x.txt",
        "y.txt",
        "z.heic",
        "none",
        ".h.txt",
    ):
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "e.png")
    (tmp_path / "null.png").symlink_to(os.devnull)
    left_out = Counter()
    found = find_images(tmp_path, left_out=left_out)
    assert [one.path.name for one in found] == ["a.JPE", "b.jfif", "c.mpo", "d.avif"]
    assert left_out_line(left_out) == (
        "left out of the folders: 2 .txt, 1 .heic, 1 FIFO (pipe), 1 device, 1 no suffix"
    )
    assert left_out_line(Counter()) is None


def test_a_file_given_twice_by_two_paths_is_done_once(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "sub").mkdir()
    given = [tmp_path / "a.png", tmp_path / "sub" / ".." / "a.png", tmp_path / "link.png"]
    assert list_images(given) == [tmp_path / "a.png"]


def test_pipes_are_read_once_and_as_often_as_asked(tmp_path, picture, monkeypatch):
    data = written(tmp_path, Image.fromarray(picture), "a.png").read_bytes()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(InputError, match=r"fifo: is a FIFO \(pipe\), not a file"):
        load_image(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(data))
    writer.start()
    source = fetch(fifo)
    writer.join()
    assert source == data
    assert size_of(source) == (36, 52)
    np.testing.assert_array_equal(load_uint8(source), picture)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert list_images("-") == [Path("-")]
    assert fetch("-") == data
    with pytest.raises(InputError, match="standard input: is empty"):
        fetch("-")
    assert fetch(tmp_path / "a.png") == tmp_path / "a.png"
    assert fetch(tmp_path / "none.png") == tmp_path / "none.png"


def test_a_name_of_245_bytes_and_one_that_is_not_utf8(tmp_path, picture):
    long = save_image(tmp_path / ("n" * 241 + ".png"), picture)
    odd = save_image(Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xe9.png"))), picture)
    for path in (long, odd):
        np.testing.assert_array_equal(load_uint8(path), picture)
    assert set(list_images(tmp_path)) == {long, odd}


def test_a_link_back_up_ends(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert list_images(tmp_path) == [tmp_path / "a.png"]


def test_contact_sheet_holds_every_image(picture):
    x = picture.astype(np.float32) / 255
    sheet = contact_sheet(
        [[x, picture], [x, None]], row_labels=["one", "two"], column_labels=["a", "b"]
    )
    assert sheet.dtype == np.float32
    found = [
        (r, c)
        for r in range(sheet.shape[0] - 35)
        for c in (8, 68)
        if np.array_equal(sheet[r : r + 36, c : c + 52], x)
    ]
    assert sorted(c for _, c in found) == [8, 8, 68]
    assert contact_sheet([[x]], cell=26).shape == (18 + 16, 26 + 16, 3)
    with pytest.raises(ValueError, match="row labels"):
        contact_sheet([[x]], row_labels=["a", "b"])


def test_match_histogram_takes_the_colours(picture):
    x = picture.astype(np.float32) / 255
    shifted = x * 0.5 + 0.3
    np.testing.assert_allclose(match_histogram(x, shifted), shifted, atol=1e-5)


def test_no_jax():
    code = (
        "import sys, jaxpercept.images, jaxpercept.images.samples; assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_fifos_of_a_pattern_are_left_out(tmp_path):
    save_image(tmp_path / "a.png", np.zeros((4, 4, 3), np.float32))
    os.mkfifo(tmp_path / "b.png")
    left_out = Counter()
    (one,) = find_images([f"{tmp_path}/*.png"], None, left_out)
    assert one.path == tmp_path / "a.png"
    assert sum(left_out.values()) == 1
