"""Makes `46b86b4/`: the files that the code of that commit left behind, for
tests/test_old_files.py.

Run it in this folder with a checkout of that commit on the path, on one CPU device:
`PYTHONPATH=CHECKOUT JAX_PLATFORMS=cpu python make_46b86b4.py`. Later versions must resume these
runs and load these files, so never run it again with a later version.
"""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
from jaxpercept.convert import convert_transform_net

from jaxpercept import config, images, load_model
from jaxpercept.training import train

HERE = Path(__file__).resolve().parent / "46b86b4"
NET = dataclasses.replace(
    config.NET_PRESETS["paper"].scaled(0.05), blocks=1, start_padding=8, stem_size=3, head_size=3
)
STYLED = config.ObjectiveConfig(
    weights={"content": 1.0, "style": 5.0, "tv": 1e-6},
    content_layers=("relu1_1",),
    style_layers=("relu1_1", "relu2_1"),
)
COMMON = {
    "data": ("photos",),
    "style_size": 0,
    "batch_size": 4,
    "image_size": 20,
    "checkpoint_every": 100,
    "preview_every": 100,
    "log_every": 1,
}
RUNS = {
    "style": config.TrainConfig(
        out="style",
        style_image="dots.png",
        net=NET,
        objective=STYLED,
        steps=6,
        **COMMON,
    ),
    "multistyle": config.TrainConfig(
        task="multistyle",
        out="multistyle",
        style_images=("dots.png", "lines.png"),
        net=dataclasses.replace(
            config.NET_PRESETS["resize"].scaled(0.05), blocks=1, stem_size=3, head_size=3, styles=2
        ),
        objective=dataclasses.replace(STYLED, style_layers=("relu1_1",)),
        steps=3,
        optimizer="muon",
        **COMMON,
    ),
}


def pictures() -> None:
    random = np.random.default_rng(0)
    for i in range(5):
        images.save_image(HERE / "photos" / f"{i}.png", random.random((22, 24, 3), np.float32))
    for power, name in enumerate(("dots", "lines"), start=1):
        images.save_image(HERE / f"{name}.png", random.random((20, 20, 3), np.float32) ** power)


def runs() -> None:
    """Makes the runs. Ctrl-C stops `style`; the lines it would have logged and its net are kept
    beside it."""
    style = RUNS["style"]
    train(dataclasses.replace(style, out="whole"))
    train(style, on_log=lambda line: line["step"] == 3 and os.kill(os.getpid(), signal.SIGINT))
    train(RUNS["multistyle"])
    whole = Path("whole")
    shutil.copy(whole / "metrics.jsonl", "style_whole.jsonl")
    shutil.copy(whole / "model.safetensors", "style_whole.safetensors")
    shutil.rmtree(whole)
    for name in RUNS:
        shutil.rmtree(Path(name) / "previews")
        for events in Path(name).glob("events.*"):
            events.unlink()
        (Path(name) / "lock").unlink()


def imported() -> None:
    """Makes a narrow net of pytorch/examples, and its output for a picture of an odd size."""
    random = np.random.default_rng(1)
    a, b, c = 3, 4, 4
    shapes = {"conv1": (a, 3, 9), "conv2": (b, a, 3), "conv3": (c, b, 3)}
    shapes |= {f"res{i}.conv{j}": (c, c, 3) for i in range(1, 6) for j in (1, 2)}
    shapes |= {"deconv1": (b, c, 3), "deconv2": (a, b, 3), "deconv3": (3, a, 9)}
    state = {}
    for name, (cout, cin, size) in shapes.items():
        kernel = random.normal(0, (cin * size * size) ** -0.5, (cout, cin, size, size))
        gain = 60 if name == "deconv3" else 1
        state[f"{name}.conv2d.weight"] = gain * kernel
        state[f"{name}.conv2d.bias"] = (
            np.full(cout, 120.0) if gain > 1 else random.normal(size=cout)
        )
    norms = {f"in{i}": n for i, n in enumerate((a, b, c, b, a), start=1)}
    norms |= {f"res{i}.in{j}": c for i in range(1, 6) for j in (1, 2)}
    for name, width in norms.items():
        state[f"{name}.weight"] = 1 + 0.2 * random.normal(size=width)
        state[f"{name}.bias"] = 0.2 * random.normal(size=width)
    np.savez("peer.npz", **{k: v.astype(np.float32) for k, v in state.items()})
    convert_transform_net("peer.npz", "imported.safetensors", "pytorch-examples")
    Path("peer.npz").unlink()


def outputs() -> None:
    """Returns every net's output for one picture, as float32."""

    x = np.random.default_rng(2).random((1, 17, 19, 3), np.float32)
    found = {
        "imported": load_model("imported.safetensors")(x),
        "style": load_model("style/model.safetensors")(x),
        "multistyle": load_model("multistyle/model.safetensors:dots=0.25,lines=0.75")(x),
    }
    np.savez_compressed("outputs.npz", x=x, **{k: np.asarray(v) for k, v in found.items()})
    sizes = {k: float(np.std(v)) for k, v in found.items()}
    print(json.dumps(sizes))


def without_paths() -> None:
    """Removes the paths that Orbax writes, since the folder's place on this machine is private."""
    for note in HERE.rglob("commit_success.txt"):
        note.write_text(note.read_text().replace(str(HERE), f"tests/data/{HERE.name}"))


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    os.chdir(HERE)
    pictures()
    runs()
    imported()
    outputs()
    without_paths()
