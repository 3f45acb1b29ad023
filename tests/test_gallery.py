"""A page of photos × styles."""

import dataclasses
import os
import re
from html.parser import HTMLParser
from urllib.parse import unquote

from jaxpercept import cli, config, images
from jaxpercept.images.samples import sample_photos
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
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    styles = ["--style", "lines.safetensors", "photo.safetensors", "--strength", "0.5"]
    assert cli.main(["gallery", "photos", "-o", "out", "--size", "48", *styles]) == 1
    assert "broken.png" in capsys.readouterr().err
    text = (tmp_path / "out" / "index.html").read_text("utf-8", "surrogateescape")
    page = Page(text)
    assert page.alternatives == ["Photo", "lines", "photo"] * 2
    assert len(page.addresses) == len(set(page.addresses)) == 12
    for address in page.addresses:
        assert (tmp_path / "out" / unquote(address, errors="surrogateescape")).is_file()
    assert "<h2>a &amp; b.png</h2>" in text
    assert "strength 0.5" in text
    assert re.findall(r"\d+ × \d+", text)[:3] == ["36 × 48"] * 3
    assert not re.search(r"https?:|<script", text)


def test_errors_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for given, said in (
        ("none.jpg", "none.jpg"),
        ("none.jpg --size 3", "--size 3 is not allowed"),
        ("none.jpg -o file", "-o file is a file; give a folder"),
    ):
        assert cli.main(["gallery", *given.split()]) == 2
        message = capsys.readouterr().err
        assert said in message
        assert "Traceback" not in message
