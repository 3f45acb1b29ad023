"""The page in headless Chromium: `pytest -m browser`.

Needs Node.js, npm's playwright-core on $NODE_PATH, and Chromium ($CHROMIUM, or one on the PATH).
$ONNXRUNTIME_WEB may name the unpacked npm package, which is fetched otherwise.
"""

import functools
import gzip
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import quick
from PIL import Image

from jaxpercept import cli, images
from jaxpercept.images.samples import sample_photos
from jaxpercept.interop.web import site
from jaxpercept.nets import shipped

VISIT = Path(__file__).parent / "browser" / "visit.mjs"
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def _missing():
    if not (node := shutil.which("node")):
        return "needs Node.js"
    if not CHROMIUM:
        return "needs Chromium, or its path in $CHROMIUM"
    found = subprocess.run(
        [node, "-e", "require('playwright-core')"], capture_output=True, check=False
    )
    return "needs npm's playwright-core in a folder of $NODE_PATH" if found.returncode else None


pytestmark = pytest.mark.browser


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def served(folder):
    """Serves a folder plainly, as `python -m http.server` does, and returns its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://localhost:{server.server_address[1]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Makes `below/site` with two styles, and photos to open."""
    if reason := _missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("web")
    package = os.environ.get("ONNXRUNTIME_WEB")
    given = ["--style", "wave", "multi", *(["--runtime", package] if package else [])]
    assert cli.main(["web", str(folder / "below" / "site"), *given]) == 0
    photos = sample_photos()
    images.save_image(folder / "photo.png", images.resize(photos["coffee"], (86, 129)))
    images.save_image(folder / "small.png", images.resize(photos["coffee"], (48, 64)))
    images.save_image(folder / "large.png", images.resize(photos["astronaut"], (1000, 801)))
    images.save_image(folder / "dot.png", np.zeros((1, 1, 3), np.float32))
    images.save_image(folder / "wide.png", np.tile(photos["rocket"][:400], (6, 19, 1))[:, :12000])
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    images.save_image(folder / "long.png", photos["coffee"][100:140, :380])
    images.save_image(folder / "high.png", photos["coffee"][:380, 200:240])
    images.save_image(folder / "phone.png", np.tile(photos["rocket"][200:240], (1, 3, 1))[:, :1300])
    opacity = np.clip(np.linspace(-0.5, 1, 120), 0, 1)[None].repeat(90, 0)
    clear = images.to_uint8(np.dstack([photos["chelsea"][:90, :120], opacity]))
    clear[:, :40, :3] = 0  # what programs write under transparency
    Image.fromarray(clear).save(folder / "clear.png")
    turned = Image.fromarray(images.to_uint8(photos["chelsea"][:96, :128]))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif, quality=95, subsampling=0)
    _film(folder / "film.y4m", photos["astronaut"])
    return folder


def _film(path, photo):
    """Writes sixteen frames of 320×240 that brighten, which Chromium takes for a camera."""
    frame = Image.fromarray(images.to_uint8(images.resize(photo, (240, 320)))).convert("YCbCr")
    luma, *chroma = (np.asarray(plane) for plane in frame.split())
    small = b"".join(plane[::2, ::2].tobytes() for plane in chroma)
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W320 H240 F10:1 Ip A1:1 C420jpeg\n")
        for i in range(16):
            file.write(b"FRAME\n" + (luma // 16 * (i + 1)).astype(np.uint8).tobytes() + small)


def visit(folder, scenario):
    """Returns what the scenario of visit.mjs saw, checked to be free of errors and foreign
    requests."""
    server, address = served(folder)
    command = ["node", VISIT, scenario, f"{address}/below/site/", folder]
    environment = {**os.environ, "CHROMIUM": CHROMIUM}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        lines = []
        for line in process.stdout:
            if line == "stop\n":
                server.shutdown()
                server.server_close()
            lines.append(line)
        error = process.stderr.read()
    if scenario != "offline":
        server.shutdown()
        server.server_close()
    assert process.returncode == 0, error
    found = json.loads(lines[-1])
    assert found["errors"] == []
    assert found["elsewhere"] == []
    return found


def ours(folder, command, name, *options):
    """Runs a command of `infer.py` on a photo and returns the picture, uint8 (H, W, 3 or 4)."""
    out = folder / "ours.png"
    assert cli.main([command, str(folder / name), "-o", str(out), *options]) == 0
    return pixels(out)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def differs(folder, saved, expected):
    """Returns the largest difference of a saved picture, in 1/255, where it is not transparent."""
    found = pixels(folder / saved)
    assert found.shape == expected.shape
    if expected.shape[-1] == 3:
        return np.abs(found - expected).max()
    seen = np.maximum(found, expected)[..., 3] > 0
    assert seen.mean() > 0.3
    return np.abs(found - expected)[seen].max()


def loaded(folder, found):
    """Returns the site's files that a visit loaded."""
    asked = {url.split("?")[0].rpartition("/below/site/")[2] for url in found["loaded"]}
    return [folder / "below" / "site" / (name or "index.html") for name in sorted(asked)]


def test_the_first_visit(folder):
    found = visit(folder, "first")
    assert found["state"] == "done"
    assert found["isolated"]  # the service worker does it, as the server sends no such headers
    assert "WebAssembly, " in found["status"]
    assert found["unnamed"] == []
    asked = loaded(folder, found)
    assert not [path for path in asked if "asyncify" in path.name or "webgpu" in path.name]
    assert [path.name for path in asked if path.parent.name == "nets"] == ["wave.onnx"]
    assert sum(path.stat().st_size for path in asked) < 17e6
    assert sum(len(gzip.compress(path.read_bytes(), 6)) for path in asked) < 6e6


def test_paintings_are_those_of_the_command_line(folder):
    found = visit(folder, "paint")
    assert found["name"] == "photo_wave.png"
    wave = ours(folder, "stylize", "photo.png", "--style", "wave")
    assert differs(folder, "wave.png", wave) <= 2
    assert np.abs(images.load_uint8(folder / "wave.jpg").astype(int) - wave).mean() < 5  # JPEG
    gentle = ("--style", "wave", "--strength", "0.4", "--preserve-color")
    assert differs(folder, "gentle.png", ours(folder, "stylize", "photo.png", *gentle)) <= 2
    photo = images.load_uint8(folder / "photo.png").astype(int)
    assert differs(folder, "none.png", photo) == 0
    smaller = ours(folder, "stylize", "large.png", "--style", "wave", "--size", "512")
    assert differs(folder, "smaller.png", smaller) <= 2


STYLES = shipped.rows("multi")
BLEND = f"multi:{STYLES[1]}=0.75,{STYLES[3]}=0.25"


def test_a_blend_needs_no_new_net(folder):
    found = visit(folder, "blend")
    assert found["parts"] == [site._title(style) for style in STYLES]
    assert found["more"] == []
    assert found["unnamed"] == []
    assert differs(folder, "blend.png", ours(folder, "stylize", "photo.png", "--style", BLEND)) <= 2
    only = ours(folder, "stylize", "photo.png", "--style", f"multi:{STYLES[2]}")
    assert differs(folder, "only.png", only) <= 2


def test_odd_files(folder):
    answers = visit(folder, "odd")["answers"]
    assert "not a picture" in answers["broken.jpg"]["message"]
    assert "at least 16 per side" in answers["dot.png"]["message"]
    assert answers["wide.png"]["message"] == ""
    assert images.load_uint8(folder / "painted-wide.png.png").shape == (102, 512, 3)
    clear = ours(folder, "stylize", "clear.png", "--style", "wave")
    assert differs(folder, "painted-clear.png.png", clear) <= 2
    on_white = 255 * images.load_image(folder / "ours.png")
    assert np.abs(pixels(folder / "painted-clear.jpg") - on_white).mean() < 5  # JPEG
    assert answers["turned.jpg"]["message"] == ""
    turned = ours(folder, "stylize", "turned.jpg", "--style", "wave")
    assert differs(folder, "painted-turned.jpg.png", turned) <= 2


def test_by_keyboard_alone(folder):
    found = visit(folder, "keyboard")
    assert found["divider"] == "51"
    assert found["label"].endswith("in the style Blend")
    assert found["strength"] == "0"
    assert found["saved"] == "chelsea_multi.png"


def test_paste_drop_and_divider(folder):
    found = visit(folder, "hands")
    assert found["pasted"].endswith("in the style Wave")
    assert found["dragging"]
    assert found["dropped"].startswith("dropped.png in the style")
    assert found["after"]["shown"] == found["dropped"]
    assert found["after"]["message"] == ""
    assert 20 < float(found["divider"].removesuffix("%")) < 30
    wave = ours(folder, "stylize", "photo.png", "--style", "wave")
    assert differs(folder, "pasted.png", wave) <= 2
    assert differs(folder, "dropped.png", wave) <= 2


def test_the_last_wish_counts(folder):
    found = visit(folder, "races")
    assert found["last"].startswith("photo.png in the style")
    assert found["instead"] == found["last"]
    assert found["message"] == ""
    wave = ours(folder, "stylize", "photo.png", "--style", "wave")
    assert differs(folder, "last.png", wave) <= 2
    assert differs(folder, "instead.png", wave) <= 2


def test_strokes_on_a_large_photo(folder):
    found = visit(folder, "strokes")
    assert "1300 × 40" in found["automatic"]["status"]
    automatic = ours(folder, "stylize", "phone.png", "--style", "wave")
    assert differs(folder, "automatic.png", automatic) <= 2
    assert differs(folder, "automatic.png", pixels(folder / "phone.png")) > 20
    coarse = ours(folder, "stylize", "clear.png", "--style", "wave", "--stroke", "2")
    assert differs(folder, "coarse.png", coarse) <= 2
    assert "would see 15×11 pixels" in found["refused"]["message"]


def test_enlarged(folder):
    """Pictures of more than 320 pixels are enlarged in tiles; here infer.py makes none."""
    visit(folder, "enlarge")
    assert pixels(folder / "photo-x2.png").shape == (86 * 2, 129 * 2, 3)
    for name, scale in (("long", 4), ("high", 4), ("clear", 4), ("clear", 2)):
        expected = ours(folder, "upscale", f"{name}.png", "--scale", str(scale), "--tile", "0")
        assert differs(folder, f"{name}-x{scale}.png", expected) <= 1


def test_cancelling(folder):
    found = visit(folder, "cancel")
    assert found["cancelled"]["status"] == "Cancelled."
    assert found["after"]["state"] == "done"


def test_the_camera(folder):
    found = visit(folder, "camera")
    assert found["first"]["size"] == [256, 192]  # by the light net of wave
    assert found["first"]["sum"] != found["second"]["sum"]
    assert found["streams"] == 1  # of two clicks
    assert found["during"] != found["before"] == found["after"]
    assert found["taken"]["state"] == "done"
    assert found["taken"]["status"].split(" · ")[1] == "320 × 240"


def test_a_second_visit_offline(folder):
    found = visit(folder, "offline")
    assert found["state"] == "done"
    assert found["message"] == ""


def test_the_benchmark(tmp_path):
    if reason := _missing():
        pytest.skip(reason)
    package = os.environ.get("ONNXRUNTIME_WEB")
    small = ["--sizes", "32", "--widths", "0.125", "--rounds", "1", "--visits", "1"]
    small += ["--styles", "wave", "udnie", "--seconds", "3"]
    given = [*small, *(["--runtime", package] if package else [])]
    command = [sys.executable, "-m", "benchmarks.web", "--json", tmp_path / "web.json", *given]
    environment = {**os.environ, "CHROMIUM": CHROMIUM, "XLA_FLAGS": quick.FLAGS}
    subprocess.run(command, check=True, env=environment)
    found = json.loads((tmp_path / "web.json").read_text())
    (row,) = found["rows"]
    assert row["webassembly, 2"]["ratio"] > 0
    first, second = found["first visit"], found["second visit"]
    assert 0 < first["runMs"] < first["totalMs"]
    assert second["netMs"] > 0
    assert all(rate > 0 for rate in found["camera, pictures/s"].values())
    sizes = found["bytes, and with gzip"]
    assert sum(sizes[kind][0] for kind in ("page", "nets", "runtime")) < sizes["all files"][0]


def test_webgpu(folder):
    """A software adapter takes 10 to 20 seconds for a picture of 64×48."""
    found = visit(folder, "webgpu")
    assert found["wave"]["status"].startswith("WebGPU")
    assert found["blend"]["status"].startswith("WebGPU")
    asked = {path.name: path.stat().st_size for path in loaded(folder, found)}
    assert not {"ort.wasm.min.mjs", "ort-wasm-simd-threaded.wasm"} & asked.keys()
    assert sum(asked.values()) - asked["multi.onnx"] < 30e6  # to the first painting
    wave = ours(folder, "stylize", "small.png", "--style", "wave")
    assert differs(folder, "webgpu.png", wave) <= 2
    blend = ours(folder, "stylize", "small.png", "--style", f"multi:{STYLES[0]},{STYLES[1]}")
    assert differs(folder, "webgpu-blend.png", blend) <= 2
