"""The site: the contents of its folder, what its scripts compute, and errors before any work.

`test_web_browser.py` tests the page itself.
"""

import dataclasses
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from jaxpercept import cli, config, images
from jaxpercept.errors import InputError
from jaxpercept.inference import upscaling
from jaxpercept.interop.web import packages, site
from jaxpercept.nets import geometry, transform_net, weights_file

pytestmark = pytest.mark.usefixtures("quickly_compiled")
RESIZE = dataclasses.replace(config.NET_PRESETS["resize"].scaled(0.125), blocks=1)


def save(path, net, **header):
    params, stats = transform_net.init(net, seed=1)
    transform_net.save(path, net, params, stats, {"task": "style", **header})
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


def test_the_site_is_complete(tmp_path, package, monkeypatch):
    small = dataclasses.replace(config.superres_net(4), stem=8, blocks=1)
    enlarger = save(tmp_path / "x4.safetensors", small)
    monkeypatch.setattr(upscaling, "default_model", lambda scale: enlarger)
    monkeypatch.setattr(upscaling, "shipped", lambda scale: [enlarger] if scale == 4 else [])
    styles = [{"name": n, "file": f"{n}.jpg", "sha256": ""} for n in ("sea", "fire_ii")]
    multi = save(
        tmp_path / "both.safetensors", dataclasses.replace(RESIZE, styles=2), styles=styles
    )
    single = save(tmp_path / "lines.safetensors", RESIZE)
    out = tmp_path / "site"
    index = site.write(out, [single, multi], grain=0.01, package=package)
    assert index == out / "index.html"
    about = json.loads((out / "site.json").read_text())
    assert [style["title"] for style in about["styles"]] == ["Lines", "Both"]
    assert [part["title"] for part in about["styles"][1]["blend"]] == ["Sea", "Fire II"]
    assert [(e["scale"], e["netScale"]) for e in about["enlarge"]] == [(2, 4), (4, 4)]
    assert about["enlarge"][0]["reach"] == geometry.reach(small)
    for name, size in about["bytes"].items():
        assert (out / name).stat().st_size == size
    shell = (out / "sw-files.js").read_text()
    listed = json.loads(shell.split("SHELL = ")[1].rstrip(";\n"))
    assert all((out / name).is_file() for name in listed[1:])
    assert not [name for name in listed if name.startswith(("nets/", "runtime/"))]
    # A site made again with one net less keeps nothing of it, and visitors get the new version.
    site.write(out, [single], grain=0.01, package=package)
    assert not (out / "nets" / "both.onnx").exists()
    assert (out / "sw-files.js").read_text().split(";")[0] != shell.split(";")[0]


def test_the_page_asks_no_other_server(root):
    """The only addresses in our files are names, those of SVG's format."""
    for path in (root / "jaxpercept" / "interop" / "web" / "static").iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"\b(https?|wss?):|['\"]//", text), path


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("site --style no_such_style", "no_such_style"),
        ("site --port 70000", "--port 70000 is not allowed"),
        ("taken --style wave", "is a folder with other files"),
        ("site --style x4-pixel", "x4-pixel"),
        ("site --style wave --runtime empty", "no ort.wasm.min.mjs in it; give the folder of"),
        ("site --style wave --runtime taken", "no ort.wasm.min.mjs in it"),
    ],
)
def test_errors_are_one_line(given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").write_text("mine")
    assert cli.main(["web", *given.split()]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert said in message
    assert not (tmp_path / "site").exists()


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


SCRIPT = """
import * as pixels from 'PIXELS';
const given = JSON.parse(await new Promise((done) => {
  let text = '';
  process.stdin.on('data', (part) => (text += part)).on('end', () => done(text));
}));
const { size, small, large } = given;
const photo = Float32Array.from(given.photo);
const bytes = Uint8ClampedArray.from(given.bytes);
const rows = (top, count) => bytes.subarray(top * size[1] * 4, (top + count) * size[1] * 4);
console.log(JSON.stringify({
  grain: [...pixels.grain(photo, given.grain)],
  small: [...pixels.resized(rows, size, small)],
  large: [...pixels.resized(rows, size, large)],
  same: [...pixels.resized(rows, size, size)],
  fit: [pixels.fit(333, 500, 250), pixels.fit(5, 1000, 300), pixels.fit(451, 300, 512)],
  kept: [...pixels.controlled(Float32Array.from(given.output), photo,
    { strength: 0.3, keepColours: true })],
  none: [...pixels.controlled(Float32Array.from(given.output), photo,
    { strength: 0, keepColours: false })],
  tiles: pixels.tiles(300, 128, 9),
}));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_scripts_compute_what_we_compute(root, tmp_path):
    rng = np.random.default_rng(1)
    h, w = 143, 61  # more than one strip
    pixels = rng.integers(0, 256, (h, w, 3), np.uint8)
    photo, output = pixels / np.float32(255), rng.random((h, w, 3), np.float32)

    def rgba(x):
        return np.dstack([x, np.full_like(x[..., :1], 255)]).ravel().tolist()

    given = {
        "size": [h, w],
        "small": [70, 30],
        "large": [200, 85],
        "photo": photo.ravel().tolist(),
        "output": output.ravel().tolist(),
        "bytes": rgba(pixels),
        "grain": {"amount": 0.01, **site._generator()},
    }
    script = tmp_path / "check.mjs"
    static = root / "jaxpercept" / "interop" / "web" / "static"
    shutil.copy(static / "pixels.js", tmp_path / "pixels.mjs")
    script.write_text(SCRIPT.replace("PIXELS", "./pixels.mjs"))
    done = subprocess.run(
        ["node", script], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    def same(name, expected, atol):
        np.testing.assert_allclose(
            np.reshape(found[name], expected.shape), expected, atol=atol, rtol=0, err_msg=name
        )

    same("grain", images.grain(photo, 0.01), 1e-7)
    for name in ("small", "large"):
        same(name, images.resize(photo, tuple(given[name])), 1e-5)
    same("same", photo, 1e-7)
    assert found["fit"] == [
        list(images.fit(*size, "long"))
        for size in ((333, 500, 250), (5, 1000, 300), (451, 300, 512))
    ]
    same("kept", images.controlled(output, photo, strength=0.3, keep_color=True), 1e-6)
    same("none", photo, 0)
    expected = [
        {"first": a, "end": b, "start": c, "length": d}
        for a, b, c, d, _ in geometry.cut(300, 128, 9)
    ]
    assert found["tiles"] == expected
