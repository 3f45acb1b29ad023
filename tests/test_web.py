"""The site: the contents of its folder, what its scripts compute, and errors before any work.

`test_web_browser.py` tests the page itself.
"""

import base64
import dataclasses
import graphlib
import http.client
import io
import json
import re
import shutil
import socket
import subprocess
import threading

import numpy as np
import pytest
from helpers import save_style
from PIL import Image

from jaxpercept import cli, config, images
from jaxpercept.cli import web
from jaxpercept.errors import InputError
from jaxpercept.inference import strokes, upscaling
from jaxpercept.inference.model import TRAINED_GRAIN
from jaxpercept.inference.treatment import enlarged
from jaxpercept.interop.web import packages, serve, site
from jaxpercept.nets import geometry, net_file, shipped, transform_net, weights_file

LANCZOS = Image.Resampling.LANCZOS
RESIZE = dataclasses.replace(config.NET_PRESETS["resize"].scaled(0.125), blocks=1)


def save(path, net, **header):
    params, stats = transform_net.init(net, seed=1)
    net_file.save(path, net, params, stats, {"task": "style", **header})
    return str(path)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a folder that stands for the unpacked npm package."""
    folder = tmp_path / "package" / "dist"
    folder.mkdir(parents=True)
    for name in packages.FILES:
        (folder / name).write_text(f"// {name}")
    wanted = {name: weights_file.sha256(folder / name) for name in packages.FILES}
    monkeypatch.setattr(packages, "FILES", wanted)
    return folder.parent


def interrupted(*_):
    raise KeyboardInterrupt


def test_the_site_is_complete(tmp_path, package, monkeypatch):
    small = dataclasses.replace(config.superres_net(4), stem=8, blocks=1)
    enlarger = save(tmp_path / "x4.safetensors", small)
    monkeypatch.setattr(upscaling, "default_model", lambda scale: enlarger)
    monkeypatch.setattr(strokes, "enlarger", lambda: upscaling.load_upscaler(enlarger))
    monkeypatch.setattr(upscaling, "shipped", lambda scale: [enlarger] if scale == 4 else [])
    styles = [{"name": n, "file": f"{n}.jpg", "sha256": ""} for n in ("sea", "fire_ii")]
    multi = save(
        tmp_path / "both.safetensors",
        dataclasses.replace(RESIZE, styles=2),
        styles=styles,
        training={},
    )
    single = save(tmp_path / "lines.safetensors", RESIZE, training={}, grain=0.02)
    other = save(tmp_path / "imported.safetensors", RESIZE)
    light = save(tmp_path / "lines-light.safetensors", RESIZE.scaled(0.25))
    monkeypatch.setattr(shipped, "light", lambda name: light if name == single else None)
    out = tmp_path / "site"
    with monkeypatch.context() as patched:
        patched.setattr(site, "_style", interrupted)
        with pytest.raises(KeyboardInterrupt):
            site.write(out, [single], package=package)
    index = site.write(out, [single, multi, other], package=package)
    assert index == out / "index.html"
    about = json.loads((out / "site.json").read_text())
    assert [style["title"] for style in about["styles"]] == ["Lines", "Both", "Imported"]
    assert [style["grain"] for style in about["styles"]] == [0.02, TRAINED_GRAIN, 0]
    assert [part["title"] for part in about["styles"][1]["blend"]] == ["Sea", "Fire II"]
    assert [(e["scale"], e["netScale"]) for e in about["enlarge"]] == [(2, 4), (4, 4)]
    assert about["enlarge"][0]["reach"] == geometry.reach(small)
    assert about["strokes"]["net"] in about["bytes"]
    assert about["styles"][0]["light"]["net"] == "nets/camera/lines-light.onnx"
    assert [name for name in about["bytes"] if "light" in name] == ["nets/camera/lines-light.onnx"]
    for name, size in about["bytes"].items():
        assert (out / name).stat().st_size == size
    shell = (out / "sw-files.js").read_text()
    listed = json.loads(shell.split("SHELL = ")[1].rstrip(";\n"))
    assert all((out / name).is_file() for name in listed[1:])
    assert not [name for name in listed if name.startswith(("nets/", "runtime/"))]
    # A site made again with one net less keeps nothing of it, and visitors get the new version.
    site.write(out, [single], package=package)
    assert not (out / "nets" / "both.onnx").exists()
    assert (out / "sw-files.js").read_text().split(";")[0] != shell.split(";")[0]


def test_the_scripts_are_short_and_import_one_way(root):
    static = root / "jaxpercept" / "interop" / "web" / "static"
    texts = {path.name: path.read_text() for path in static.glob("*.js")}
    assert not [name for name, text in texts.items() if text.count("\n") > 250]
    needs = {name: set(re.findall(r"from '\./(.+?)'", text)) for name, text in texts.items()}
    assert {"app.js", "worker.js"} <= {*graphlib.TopologicalSorter(needs).static_order()}
    assert set().union(*needs.values()) <= texts.keys()


def test_the_page_asks_no_other_server(root):
    """The only addresses in our files are names, those of SVG's format."""
    for path in (root / "jaxpercept" / "interop" / "web" / "static").iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"\b(https?|wss?):|['\"]//", text), path


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("site --style no_such_style", "no_such_style"),
        ("site --style a#b.safetensors", "'a#b' cannot be part of a page's addresses"),
        ("site --port 70000", "--port 70000 is not allowed"),
        ("taken --style wave", "is a folder with other files"),
        ("site --style x4-pixel", "x4-pixel"),
        ("taken/letter.txt/site --style wave --runtime empty", "OUT taken/letter.txt/site: "),
        ("site --style wave --runtime empty", "no ort.wasm.min.mjs in it; give the folder of"),
        ("site --style wave --runtime taken", "no ort.wasm.min.mjs in it"),
    ],
)
def test_errors_are_one_line(given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").write_text("mine")
    (tmp_path / "taken" / "site.json").write_text('{"name": "mine"}')  # of another program
    save_style(tmp_path / "a#b.safetensors")
    assert cli.main(["web", *given.split()]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert said in message
    assert not (tmp_path / "site").exists()


def test_all_nets_are_shown_and_light_ones_are_for_the_camera(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(site, "write", lambda out, styles, **_: written.extend(styles) or out)
    assert cli.main(["web", str(tmp_path / "site" / "index.html")]) == 0
    assert {"starry_night", "multi"} <= set(written)
    assert not [name for name in written if "light" in name]
    assert shipped.light("wave") == "wave-light"
    assert shipped.light("multi") is None


def test_the_runtime_is_checked_and_kept(tmp_path, package, monkeypatch):
    assert packages.obtain(package, print) == package / "dist"
    (package / "dist" / "ort.wasm.min.mjs").write_text("// another")
    with pytest.raises(InputError, match="differs from the file in onnxruntime-web"):
        packages.obtain(package, print)
    monkeypatch.setenv("JAXPERCEPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="npm is not installed here; install"):
        packages.obtain(None, print)
    kept = tmp_path / "cache" / "onnxruntime-web" / packages.VERSION
    shutil.copytree(package / "dist", kept)
    (kept / "ort.wasm.min.mjs").write_text("// ort.wasm.min.mjs")
    assert packages.obtain(None, print) == kept
    monkeypatch.setenv("JAXPERCEPT_CACHE", str(kept / "ort.wasm.min.mjs"))
    monkeypatch.setattr(shutil, "which", lambda name: "npm")
    with pytest.raises(InputError, match=r"cannot be written .*another cache in \$JAXPERCEPT_CAC"):
        packages.obtain(None, print)


SCRIPT = """
import * as pixels from './pixels.mjs';
import * as scaling from './scaling.mjs';
import { png } from './png.mjs';
import * as transparency from './transparency.mjs';
const given = JSON.parse(await new Promise((done) => {
  let text = '';
  process.stdin.on('data', (part) => (text += part)).on('end', () => done(text));
}));
const { size, small, large, strokes } = given;
const [photo, clear] = [given.photo, given.clear].map((x) => Uint8ClampedArray.from(x));
const rowsOf = (bytes) => (top, count) =>
  bytes.subarray(top * size[1] * 4, (top + count) * size[1] * 4);
const at = (bytes, other) => [...scaling.resized(rowsOf(bytes), size, other)];
const cubic = new scaling.Resizer(size, size.map((x) => 4 * x),
  { channels: 1, taps: scaling.cubicTaps });
cubic.add(clear.filter((_, i) => i % 4 === 3));
const mixed = (output, how) => [...pixels.controlled(output, clear, how)];
const output = Float32Array.from(given.output);
const how = { strength: 0.3, keepColours: true };
const file = async (data) => Buffer.from(
  await (await png({ data, height: size[0], width: size[1] })).arrayBuffer()).toString('base64');
console.log(JSON.stringify({
  grain: [...pixels.grain(photo, 0.01, given.noise)],
  small: at(photo, small),
  large: at(photo, large),
  same: at(photo, size),
  clearSmall: at(clear, small),
  bled: [...transparency.bled(Uint8ClampedArray.from(clear), ...size)],
  white: [...transparency.overWhite(Uint8ClampedArray.from(clear))],
  cubic: [...cubic.result()],
  fit: [scaling.fit(333, 500, 250), scaling.fit(5, 1000, 300), scaling.fit(451, 300, 512)],
  seen: given.sizes.map(([stroke, h, w]) => scaling.seenSize(stroke, h, w, strokes)),
  kept: mixed(output, how),
  keptBytes: mixed(pixels.rgba(output), how),
  none: mixed(output, { strength: 0, keepColours: false }),
  tiles: scaling.tiles(300, 128, 9),
  png: [await file(photo), await file(clear)],
}));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_scripts_compute_what_we_compute(root, tmp_path):
    rng = np.random.default_rng(1)
    h, w = 143, 75  # more than one strip; Pillow scales taller pictures rows first
    pixels, output = rng.integers(0, 256, (h, w, 3), np.uint8), rng.random((h, w, 3), np.float32)
    alpha = rng.integers(0, 256, (h, w), np.uint8)
    alpha[:, :40] = np.minimum(alpha[:, :40], 1)  # 0 is frequent
    alpha[20:90, 3:35] = 0
    clear, opaque = np.dstack([pixels, alpha]), np.dstack([pixels, np.full_like(alpha, 255)])
    sizes = [(None, 900, 1281), (None, 3024, 4032), (None, 6000, 4000), (1, 3000, 10), (2.5, 99, 7)]
    given = {
        "size": [h, w],
        "small": [70, 37],
        "large": [200, 105],
        "photo": opaque.ravel().tolist(),
        "clear": clear.ravel().tolist(),
        "output": output.ravel().tolist(),
        "noise": site._generator(),
        "sizes": sizes,
        "strokes": {"seen": strokes.SEEN, "alone": strokes.ALONE, "most": strokes.MOST},
    }
    script = tmp_path / "check.mjs"
    static = root / "jaxpercept" / "interop" / "web" / "static"
    for name in ("pixels", "png", "scaling", "transparency"):
        text = (static / f"{name}.js").read_text()
        (tmp_path / f"{name}.mjs").write_text(
            re.sub(r"from '\./(\w+)\.js'", r"from './\1.mjs'", text)
        )
    script.write_text(SCRIPT)
    done = subprocess.run(
        ["node", script], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    def same(name, expected, atol=0.0):
        shaped = np.reshape(found[name], expected.shape)
        np.testing.assert_allclose(shaped, expected, atol=atol, rtol=0, err_msg=name)

    photo = images.to_float(pixels)
    same("grain", images.grain(photo, 0.01), 1e-7)
    for name in ("small", "large", "same"):
        size = tuple(given.get(name, (h, w)))
        same(name, np.asarray(Image.fromarray(opaque).resize(size[::-1], LANCZOS)))
    same("clearSmall", np.asarray(Image.fromarray(clear).resize((37, 70), LANCZOS)))
    bled = images.read(_png(clear), uint8=True)
    assert not np.array_equal(bled.pixels, pixels)
    same("bled", np.dstack([bled.pixels, alpha]))
    white = images.to_uint8(images.over_white(photo, images.to_float(alpha)))
    same("white", np.dstack([white, np.full_like(alpha, 255)]))
    same("cubic", images.to_uint8(enlarged(alpha, 4)), 1)
    assert found["fit"] == [
        list(images.fit(*size, "long"))
        for size in ((333, 500, 250), (5, 1000, 300), (451, 300, 512))
    ]
    assert found["seen"] == [list(strokes.seen_size(*size)) for size in sizes]
    kept = images.controlled(output, photo, strength=0.3, keep_color=True)
    same("kept", np.dstack([images.to_uint8(kept), alpha]), 1)
    same("keptBytes", np.dstack([images.to_uint8(kept), alpha]), 1)
    same("none", clear)
    expected = [
        {"first": a, "end": b, "start": c, "length": d}
        for a, b, c, d, _ in geometry.cut(300, 100, 9)
    ]
    assert found["tiles"] == expected
    for data, expected in zip(found["png"], (pixels, clear), strict=True):
        read = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        np.testing.assert_array_equal(read, expected)


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("desktop", "opened"), [(":0", ["http://localhost:8000/"]), ("", [])])
def test_the_address_is_opened_on_a_desktop_only(desktop, opened, monkeypatch, capsys):
    found = []
    monkeypatch.setattr("webbrowser.open", found.append)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", desktop)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    web._open("http://localhost:8000/")
    assert found == opened
    assert "http://localhost:8000/" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(site, "write", lambda *_, **__: pytest.fail("writes a site"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        line = ["web", str(tmp_path / "site"), "--style", "wave", "--serve", "--port", port]
        assert cli.main(line) == 2
    assert f"--port {port}: Address already in use; give another port" in capsys.readouterr().err


def test_a_port_without_a_server_is_said_to_do_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(site, "write", lambda out, *_, **__: out)
    for more, said in ((["--port", "8000"], True), ([], False)):
        assert cli.main(["web", str(tmp_path / "site"), "--style", "wave", *more]) == 0
        assert ("note: --port does nothing without --serve" in capsys.readouterr().err) == said


@pytest.mark.parametrize("path", ["/%00", "/%ED%A0%80", f"/{'a' * 300}"])
def test_an_address_that_no_file_can_have_is_not_found(tmp_path, capsys, path):
    with serve.server(tmp_path, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            connection = http.client.HTTPConnection(*server.server_address, timeout=10)
            connection.request("GET", path)
            assert connection.getresponse().status == 404
            connection.close()
        finally:
            server.shutdown()
            thread.join()
    assert capsys.readouterr().err == ""


def test_a_browser_that_goes_away_is_no_error(tmp_path, capsys):
    with serve.server(tmp_path, 0) as server:
        for error in (BrokenPipeError("gone"), ConnectionResetError("gone"), ValueError("told")):
            try:
                raise error
            except Exception:
                server.handle_error(None, ("127.0.0.1", 1))
    said = capsys.readouterr().err
    assert "told" in said
    assert "gone" not in said
