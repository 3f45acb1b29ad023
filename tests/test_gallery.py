"""A page of photos × styles."""

import dataclasses
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from helpers import save_style
from PIL import ExifTags, Image

from jaxpercept import cli, config, images
from jaxpercept.images.samples import sample_photos
from jaxpercept.inference.model import load_model
from jaxpercept.inference.treatment import Treatment
from jaxpercept.interop.web import gallery
from jaxpercept.nets import net_file, transform_net


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.addresses, self.alternatives = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.addresses += [given[key] for key in ("href", "src") if key in given]
        if tag == "img":
            self.alternatives.append(given["alt"])


def test_a_gallery(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    net = dataclasses.replace(config.NET_PRESETS["resize"].scaled(0.125), blocks=1)
    for name in ("lines", "photo"):  # the second is no reason to lose a picture
        params, stats = transform_net.init(net, seed=1)
        net_file.save(tmp_path / f"{name}.safetensors", net, params, stats, {"task": "style"})
    photo = sample_photos()["coffee"]
    images.save_image("photos/a & b.png", photo[:64, :48])
    images.save_image(os.fsdecode(b"photos/c\xff.png"), photo[:48, :64])
    images.save_image(long := f"photos/d{'é' * 125}.png", photo[:48, :64])
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    styles = ["--style", "lines.safetensors", "photo.safetensors", "--strength", "0.5"]
    assert cli.main(["gallery", "photos", "-o", "out", "--size", "48", *styles]) == 1
    assert "broken.png" in capsys.readouterr().err
    text = (tmp_path / "out" / "index.html").read_text("utf-8", "surrogateescape")
    page = Page(text)
    assert page.alternatives == ["Photo", "lines", "photo"] * 3
    assert len(page.addresses) == len(set(page.addresses)) == 18
    for address in page.addresses:
        assert (tmp_path / "out" / unquote(address, errors="surrogateescape")).is_file()
    assert "<h2>a &amp; b.png</h2>" in text
    assert f"<h2>{Path(long).name}</h2>" in text
    assert "strength 0.5" in text
    assert re.findall(r"\d+ × \d+", text)[:3] == ["36 × 48"] * 3
    assert not re.search(r"https?:|<script", text)


def test_pictures_tell_no_place(tmp_path):
    made = Image.Exif()
    made[ExifTags.Base.Make] = "Cam"
    made[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 30.0, 0.0)}
    photo = tmp_path / "a.jpg"
    pixels = images.to_uint8(sample_photos()["coffee"][:48, :64])
    Image.fromarray(pixels).save(photo, exif=made, dpi=(300, 300))
    style = save_style(tmp_path / "x.safetensors")
    gallery.write(tmp_path / "out", [photo], [load_model(style)], how=Treatment(stroke=None))
    files = sorted((tmp_path / "out").glob("*/*.jpg"))
    assert len(files) == 4
    for file in files:
        with Image.open(file) as picture:
            assert not picture.getexif()
            assert "icc_profile" in picture.info


def test_a_photo_that_is_gone_after_it_was_painted_costs_no_other_picture(tmp_path, monkeypatch):
    net = dataclasses.replace(config.NET_PRESETS["resize"].scaled(0.125), blocks=1)
    style = tmp_path / "x.safetensors"
    net_file.save(style, net, *transform_net.init(net, seed=1), {"task": "style"})
    photos = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in photos:
        images.save_image(path, sample_photos()["coffee"][:48, :64])
    process = gallery.process

    def processed(*given, **how):
        process(*given, **how)
        photos[0].unlink()

    monkeypatch.setattr(gallery, "process", processed)
    job = gallery.write(tmp_path / "out", photos, [load_model(style)], how=Treatment(stroke=None))
    assert len(job.failed) == 1
    assert "a.png: no such file" in job.failed[0]
    page = Page((tmp_path / "out" / "index.html").read_text("utf-8"))
    assert page.alternatives == ["x", "Photo", "x"]


def test_a_small_picture_that_cannot_be_written_costs_no_other(tmp_path):
    style = save_style(tmp_path / "x.safetensors")
    photos = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in photos:
        images.save_image(path, sample_photos()["coffee"][:48, :64])
    (tmp_path / "out" / "small" / "001-a_x.jpg").mkdir(parents=True)
    job = gallery.write(tmp_path / "out", photos, [load_model(style)], how=Treatment(stroke=None))
    assert len(job.failed) == 1
    assert "001-a_x.jpg: cannot be written" in job.failed[0]
    page = Page((tmp_path / "out" / "index.html").read_text("utf-8"))
    assert page.alternatives == ["Photo", "Photo", "x"]


def test_what_an_error_suggests_can_be_given(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    style = str(save_style(tmp_path / "x.safetensors"))
    images.save_image("a.png", sample_photos()["coffee"][:64, :64])
    for function in (images.read, images.size_of):  # what is not given the option fails
        monkeypatch.setitem(function.__kwdefaults__, "max_pixels", 4095)
    line = ["gallery", "a.png", "--style", style, "--max-pixels"]
    assert cli.main([*line, "4095"]) == 2
    assert "raise --max-pixels" in capsys.readouterr().err
    assert cli.main([*line, "4096"]) == 0
    assert cli.main([*line, "16383", "--stroke", "1.01"]) == 2
    assert "give another --stroke" in capsys.readouterr().err
    assert cli.main([*line, "16383", "--stroke", "1"]) == 0
    assert "strokes × 1." in (tmp_path / "gallery" / "index.html").read_text("utf-8")


def test_errors_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for given, said in (
        ("none.jpg", "none.jpg"),
        ("none.jpg --size 3", "--size 3 is not allowed"),
        ("none.jpg --max-pixels 0", "--max-pixels 0 is not allowed"),
        ("none.jpg --stroke 40", "--stroke 40 is not allowed"),
        ("none.jpg -o file", "-o file is a file; give a folder"),
    ):
        assert cli.main(["gallery", *given.split()]) == 2
        message = capsys.readouterr().err
        assert said in message
        assert "Traceback" not in message
