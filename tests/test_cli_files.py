"""`stylize` and `upscale` on files: every kind keeps its looks and its metadata; pipes; formats;
refused files.
"""

import argparse
import dataclasses
import io
import os
import sys
import threading

import numpy as np
import pytest
from helpers import save_style
from PIL import ExifTags, Image
from test_picture import exif_of_a_phone, kinds_of_files, opened, saved, shown

from jaxpercept import cli, config, images
from jaxpercept.cli import reports
from jaxpercept.errors import InputError
from jaxpercept.nets import net_file, transform_net
from jaxpercept.runtime import streams

y, x = np.mgrid[:40, :56]
PHOTO = np.stack([x * 4, y * 6, 220 - x * 2 - y * 2], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    return save_style(tmp_path_factory.mktemp("net") / "tiny.safetensors")


def stylize(style, *given):
    return cli.main(["infer.py", "stylize", *map(str, given), "--style", str(style)][1:])


def test_strength_0_is_the_file_as_a_viewer_shows_it(style, tmp_path):
    files = {f"{i:02}_{name}": data for i, (name, data) in enumerate(kinds_of_files(PHOTO).items())}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    out = tmp_path / "out"
    assert stylize(style, *(tmp_path / n for n in files), "--strength", 0, "-o", out) == 0
    for name, data in files.items():
        (made,) = out.glob(f"{name[:2]}_*")
        assert np.abs(shown(made.read_bytes()) - shown(data)).mean() < 2, name
        with Image.open(made) as image:
            assert ("alpha" in name) == image.has_transparency_data, name
            assert ("grey16" in name) == (image.mode == "I;16"), name


def test_what_a_photo_says_goes_on_unless_stripped(style, tmp_path):
    (tmp_path / "x.jpg").write_bytes(saved(PHOTO, "JPEG", exif=exif_of_a_phone(), dpi=(300, 300)))
    assert stylize(style, tmp_path / "x.jpg", "-o", tmp_path / "y.jpg") == 0
    with Image.open(tmp_path / "y.jpg") as made:
        assert made.size == (40, 56)
        assert made.getexif()[0x8298] == "(c) me"
        assert made.info["dpi"] == (300, 300)
    assert stylize(style, tmp_path / "x.jpg", "-o", tmp_path / "z.jpg", "--strip") == 0
    with Image.open(tmp_path / "z.jpg") as made:
        assert not dict(made.getexif())
        assert "icc_profile" not in made.info


def test_the_format_and_quality_of_a_folder(style, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(saved(PHOTO, "PNG"))
    (folder / "b.jfif").write_bytes(saved(PHOTO, "JPEG"))
    (folder / "c.gif").write_bytes(
        saved(PHOTO, "GIF", save_all=True, append_images=[Image.fromarray(255 - PHOTO)])
    )
    (folder / "notes.txt").write_text("")
    (folder / "d.heic").write_text("")
    assert stylize(style, folder, "-o", tmp_path / "o", "--format", "AVIF", "--quality", 40) == 0
    assert {path.suffix for path in (tmp_path / "o").iterdir()} == {".avif"}
    assert len(list((tmp_path / "o").iterdir())) == 3
    said = capsys.readouterr().err
    assert "left out of the folders: 1 .heic, 1 .txt" in said
    assert said.count("c.gif: only its first frame is read; `infer.py video`") == 1


def test_standard_input_and_output(style, tmp_path, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(saved(PHOTO, "JPEG"))))
    monkeypatch.setattr(sys, "stdout", out)
    assert stylize(style, "-", "-o", "-", "--format", "webp") == 0
    made = opened(out.buffer.getvalue())
    assert (made.format, made.size) == ("WEBP", (56, 40))


def test_standard_output_that_is_closed(style, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.png").write_bytes(saved(PHOTO, "PNG"))
    monkeypatch.setattr(streams, "lacked_output", True)
    assert stylize(style, tmp_path / "a.png", "-o", "-") == 2
    assert "-o -: standard output is closed; open it, or give a file" in capsys.readouterr().err


def test_what_a_format_cannot_hold_is_said(style, tmp_path, capsys):
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "A. Painter"
    (tmp_path / "a.jpg").write_bytes(saved(PHOTO, "JPEG", exif=exif))
    said = "a.jpg: a BMP file holds no author, date, place or text: they are left out"
    for more, count in (["x.bmp"], 1), (["y.bmp", "--strip"], 0), (["z.png"], 0):
        assert stylize(style, tmp_path / "a.jpg", "-o", tmp_path / more[0], *more[1:]) == 0
        assert capsys.readouterr().err.count(said) == count


def test_a_fifo_in_and_a_fifo_out(style, tmp_path):
    source, target, got = tmp_path / "in", tmp_path / "out", []
    for fifo in (source, target):
        os.mkfifo(fifo)
    threads = [
        threading.Thread(target=lambda: source.write_bytes(saved(PHOTO, "PNG")), daemon=True),
        threading.Thread(target=lambda: got.append(target.read_bytes()), daemon=True),
    ]
    for thread in threads:
        thread.start()
    assert stylize(style, source, "-o", target) == 0
    for thread in threads:
        thread.join(20)
    assert opened(got[0]).size == (56, 40)
    assert target.is_fifo()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-o", "x.jfif"], "unknown image suffix '.jfif'; use one of .png"),
        (["-o", "x.txt"], "unknown image suffix '.txt'; use one of .png"),
        (["-o", "x.exr"], "unknown image suffix '.exr'; use one of .png"),
        (["--style", "y" * 300], "the name is too long for the file system"),
        (["--quality", "0"], "--quality 0 is not allowed; give 1 to 100"),
        (["-o", "x.png", "--format", "jpg"], "-o x.png names another format than --format jpg"),
        (["--format", "exr"], "--format 'exr' is not known"),
    ],
)
def test_what_is_refused_before_any_work(style, tmp_path, monkeypatch, capsys, more, message):
    (tmp_path / "a.png").write_bytes(saved(PHOTO, "PNG"))
    monkeypatch.chdir(tmp_path)
    assert stylize(style, "a.png", *more) == 2
    assert message in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_film_among_photos_is_named_with_its_command(style, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(saved(PHOTO, "PNG"))
    (tmp_path / "b.mp4").write_bytes(b"film")
    assert stylize(style, tmp_path / "a.png", tmp_path / "b.mp4", "-o", tmp_path / "out") == 1
    assert "b.mp4: is a film; give it to the command video" in capsys.readouterr().err
    assert len(os.listdir(tmp_path / "out")) == 1


def test_enlarged_pictures_have_no_dark_fringe_and_keep_16_bits(tmp_path):
    net = dataclasses.replace(config.superres_net(2).scaled(0.15), blocks=1)
    path = tmp_path / "sr.safetensors"
    net_file.save(path, net, *transform_net.init(net), {"task": "superres"})
    row, column = np.mgrid[:24, :24]
    disc = np.zeros((24, 24, 4), np.uint8)
    disc[(row - 12) ** 2 + (column - 12) ** 2 < 64] = (240, 230, 220, 255)
    even = np.full((24, 24, 3), (240, 230, 220), np.uint8)
    levels = np.linspace(0, 65535, 24 * 24).reshape(24, 24).astype(np.uint16)
    inputs = {"disc": disc, "even": even, "grey": levels}
    for name, pixels in inputs.items():
        (tmp_path / f"{name}.png").write_bytes(saved(Image.fromarray(pixels), "PNG"))
    given = [str(tmp_path / f"{name}.png") for name in inputs]
    given += ["--model", str(path), "-o", str(tmp_path / "o"), "--no-match-histogram"]
    assert cli.main(["upscale", *given]) == 0
    disc, even, grey = (next((tmp_path / "o").glob(f"{name}*")) for name in inputs)
    assert opened(grey.read_bytes()).mode == "I;16"
    picture, opaque = images.read(disc), images.read(even)
    seen = picture.alpha > 0
    assert 0.2 < seen.mean() < 0.6
    assert np.abs(picture.pixels - opaque.pixels)[seen].max() < 2 / 255


def test_each_failure_is_told_once(style, tmp_path, capsys):
    (bad := tmp_path / "bad.png").write_bytes(b"no image")
    (film := tmp_path / "x.mp4").touch()
    assert stylize(style, film, "-o", tmp_path / "out") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert stylize(style, bad, tmp_path / "none.png", "-o", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert told.count("none.png: no such file") == told.count("bad.png: not an image") == 1
    assert told.endswith("error: none of the 2 images could be done\n")
    other = save_style(tmp_path / "other.safetensors")
    assert stylize(style, bad, "--style", other, "-o", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert told.count("bad.png: not an image") == 1
    assert told.endswith("error: the image could not be done\n")


def test_a_link_that_leads_back_to_itself_is_one_line(style, tmp_path, capsys):
    (tmp_path / "back.png").symlink_to("back.png")
    (tmp_path / "photo.png").write_bytes(saved(PHOTO, "PNG"))
    back, photo, out = (str(tmp_path / name) for name in ("back.png", "photo.png", "out.png"))
    assert stylize(style, back, "-o", out) == 2
    assert "back.png: no such file" in capsys.readouterr().err
    assert stylize(style, photo, "-o", back) == 2
    assert "the link leads back to itself" in capsys.readouterr().err
    reports.check(argparse.Namespace(json=out), ["json"], [photo, back])
    with pytest.raises(InputError, match="is the input itself"):
        reports.check(argparse.Namespace(json=back), ["json"], [photo, back])
