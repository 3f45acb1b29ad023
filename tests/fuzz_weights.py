"""Damages weights files of seven formats, and measures what reading each costs and whether it is
refused in one line.

    python tests/fuzz_weights.py --mutants 1000

It makes small intact files and damages copies of them (flipped bits, cuts, swapped and repeated
parts, edited headers and sizes). It reads each copy as a command line would, in a process of its
own, and the kernel counts that process's time and memory. It prints a table. It exits with 1 if a
copy ended in anything but success or an InputError, took more than 5 times the intact file's
processor time plus a second, or took 1 GiB more memory.
"""

import argparse
import collections
import dataclasses
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx

from jaxpercept.errors import InputError
from jaxpercept.inference.model import load_model
from jaxpercept.interop.convert import convert_transform_net, convert_vgg16, torch7, vgg16  # noqa: F401
from jaxpercept.nets import multistyle

FORMATS = ("safetensors", "npz", "pth", "pth-legacy", "t7", "h5", "onnx")
TIMES, MORE_BYTES = 5, 1 << 30
_SECONDS = 120  # limit of wall time, for reading that never ends
_NUMBERS = (0, 1, 2, 127, 255, 256, 4096, 65535, 1 << 20, 1 << 24, 1 << 31, (1 << 31) - 1)
_NUMBERS += ((1 << 32) - 1, 1 << 40, 1 << 62, (1 << 63) - 1, (1 << 64) - 1)
_TEXTS = (b"null", b"{}", b"[]", b"-1", b"1.5", b'"x"', b"1e999", b"NaN", b"true", b"9" * 5000)
_TEXTS += (b"[" * 2000, b"1000000000", b"5000", b'"\\u001b[2J"', b'"../x"')


def intact(folder):
    """Makes the intact file of each format, small but whole. It runs in a process of its own,
    because torch and jax start threads, which a process that forks should not have."""
    if (child := os.fork()) == 0:
        try:
            _make(folder)
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.waitpid(child, 0)
    return {name: (folder / name).read_bytes() for name in FORMATS}


def _make(folder):
    import peer_nets
    import torch

    from jaxpercept.config import TransformNetConfig
    from jaxpercept.nets import net_file

    random = np.random.default_rng(0)
    vgg = {k: random.normal(size=s).astype(np.float32) for k, s in vgg16.expected_shapes().items()}
    config = TransformNetConfig(stem=4, down=(4, 4), up=(4, 4), blocks=1, styles=2)
    styles = [{"name": n, "file": f"{n}.jpg", "sha256": "0", "steps": 1} for n in ("a", "b")]
    header = {"task": "multistyle", "styles": styles, "training": {"steps": 1, "images": 4}}
    net_file.save(folder / "safetensors", config, *_numbers(config), header)
    torch.manual_seed(0)
    examples = peer_nets.randomized(peer_nets.PytorchExamples(4, 4, 4)).state_dict()
    np.savez(folder / "npz", **{k: v.numpy() for k, v in examples.items()})
    (folder / "npz.npz").rename(folder / "npz")
    torch.save(examples, folder / "pth")
    torch.save(examples, folder / "pth-legacy", _use_new_zipfile_serialization=False)
    johnson = peer_nets.randomized(peer_nets.Johnson(4, 4, 4, blocks=1))
    peer_nets.write_t7(folder / "t7", peer_nets.johnson_table(johnson))
    nodes, constants = [], []
    with h5py.File(folder / "h5", "w") as file:
        for name in vgg16.NAMES:
            layer, made = f"block{name[4]}_conv{name[6]}", vgg[f"{name}.kernel"]
            file[f"{layer}/kernel:0"], file[f"{layer}/bias:0"] = made, vgg[f"{name}.bias"]
            nodes.append(
                onnx.helper.make_node("Conv", ["x", f"{name}/k", f"{name}/b"], ["x"], name)
            )
            for end, value in (("k", made.transpose(3, 2, 0, 1)), ("b", vgg[f"{name}.bias"])):
                value = np.ascontiguousarray(value)
                constants.append(onnx.numpy_helper.from_array(value, f"{name}/{end}"))
    graph = onnx.helper.make_graph(nodes, "vgg", [], [], constants)
    (folder / "onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())


def _numbers(config):
    """Returns random arrays of a net's shapes."""
    from jaxpercept.nets import transform_net

    random = np.random.default_rng(1)
    return (
        {k: random.normal(size=s).astype(np.float32) for k, s in shapes.items()}
        for shapes in transform_net.shapes(config)
    )


def read(kind, path, out):
    """Reads a file as the commands do."""
    if kind == "safetensors":
        multistyle.expand(f"{path}:all")
        load_model(f"{path}:a=0.5,b=0.5")
    elif kind in ("h5", "onnx"):
        convert_vgg16(path, out)
    else:
        convert_transform_net(path, out, "johnson" if kind == "t7" else "pytorch-examples")


def damaged(data, kind, random):
    """Returns a damaged copy, and how it was damaged."""
    if kind in ("npz", "pth") and random.random() < 0.5:
        return _inside_a_zip(data, random)
    if kind == "safetensors" and random.random() < 0.6:
        return _header(data, random)
    return _bytes(data, random)


def _bytes(data, random):
    data = bytearray(data)
    # Half of all damage hits the first and the last 2,000 bytes, which hold sizes and names.
    ends = min(len(data), 2000)
    place = random.choice(
        (random.integers(len(data)), random.integers(ends), -1 - random.integers(ends))
    )
    place = int(place) % len(data)
    way = random.choice(("flip", "cut", "size", "swap", "repeat", "zeros", "text"))
    if way == "flip":
        for _ in range(random.integers(1, 9)):
            data[(place + int(random.integers(64))) % len(data)] ^= 1 << int(random.integers(8))
    elif way == "cut":
        del data[place:]
    elif way == "size":
        width = int(random.choice((1, 4, 8)))
        number = int(_NUMBERS[random.integers(len(_NUMBERS))]) % (1 << 8 * width)
        data[place : place + width] = number.to_bytes(width, "little")
    elif way == "swap":
        other, n = int(random.integers(len(data))), int(random.integers(1, 64))
        data[place : place + n], data[other : other + n] = (
            data[other : other + n],
            data[place : place + n],
        )
    elif way == "repeat":
        part = data[place : place + int(random.integers(1, 200))]
        data[place:place] = part * int(random.integers(1, 500))
    elif way == "zeros":
        data[place : place + 64] = bytes(64)
    else:
        data[place:place] = _TEXTS[random.integers(len(_TEXTS))]
    return bytes(data), str(way)


def _inside_a_zip(data, random):
    """Damages one member, so that the archive itself and its checksums stay valid."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickles = [name for name in members if name.endswith(".pkl")]
    name = str(random.choice(pickles if pickles and random.random() < 0.7 else list(members)))
    members[name], way = _bytes(members[name], random) if members[name] else (b"x", "text")
    out = io.BytesIO()
    method = int(random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    with zipfile.ZipFile(out, "w", method) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
        if random.random() < 0.1:
            archive.writestr("zeros.npy", bytes(100 << 20), zipfile.ZIP_DEFLATED)
    return out.getvalue(), f"member {way}"


def _header(data, random):
    """Returns a safetensors file whose header is valid JSON with one changed value."""
    end = 8 + int.from_bytes(data[:8], "little")
    table = json.loads(data[8:end])
    text = _TEXTS[random.integers(len(_TEXTS))].decode()
    if random.random() < 0.6:
        key = str(random.choice(list(table["__metadata__"])))
        field = json.loads(table["__metadata__"][key])
        if isinstance(field, dict) and random.random() < 0.8:
            inner = str(random.choice(list(field)))
            field[inner] = "HERE"
            text = json.dumps(field).replace('"HERE"', text)
        table["__metadata__"][key] = text
    else:
        key = str(random.choice([k for k in table if k != "__metadata__"]))
        part = str(random.choice(("dtype", "shape", "data_offsets")))
        number = int(_NUMBERS[random.integers(len(_NUMBERS))])
        table[key][part] = {
            "dtype": str(random.choice(("F8_E4M3", "BF16", "I64", "F64", "BOOL", "X"))),
            "shape": [number] * int(random.integers(4)),
            "data_offsets": [0, number],
        }[part]
    made = json.dumps(table).encode()
    return len(made).to_bytes(8, "little") + made + data[end:], f"header {key}"


@dataclasses.dataclass(frozen=True)
class Cost:
    ended: str  # "read", "refused", or another end
    seconds: float  # processor seconds
    bytes: int  # the largest resident size
    line: str = ""


def measured(kind, data, folder):
    """Returns the cost of reading `data` in a process of its own."""
    path, out, said = (folder / name for name in ("given", "out", "said"))
    path.write_bytes(data)
    said.write_text("killed")
    if (child := os.fork()) == 0:
        _read_here(kind, path, out, said)
    _, status, usage = os.wait4(child, 0)
    line = said.read_text()
    ended = line.split(":")[0] if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)}"
    return Cost(ended, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, line)


def _read_here(kind, path, out, said):
    """Reads in the child, reports how it ended, and ends."""
    signal.alarm(_SECONDS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        read(kind, path, out)
        said.write_text("read")
    except InputError as e:
        said.write_text(
            "refused" if "\n" not in str(e) and str(path) in str(e) else f"odd line: {e!r}"
        )
    except BaseException as e:
        said.write_text(f"traceback: {e!r}\n{traceback.format_exc()[-1500:]}")
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", default=FORMATS)
    arguments = parser.parse_args()
    vgg16.WIDTHS = tuple(max(1, w // 64) for w in vgg16.WIDTHS)  # keeps files small
    begun, bad = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name:
        whole = intact(Path(name))
        base = {}
        for kind in arguments.formats:
            runs = [measured(kind, whole[kind], Path(name)) for _ in range(2)]
            if runs[0].ended != "read":
                print(f"{kind}: the intact file was not read: {runs[0].line}")
                return 1
            base[kind] = dataclasses.replace(runs[0], seconds=max(r.seconds for r in runs))
        counts: dict[str, collections.Counter] = {
            k: collections.Counter() for k in arguments.formats
        }
        worst = {k: [0.0, 0.0, 0] for k in arguments.formats}
        for number in range(arguments.mutants):
            kind = arguments.formats[number % len(arguments.formats)]
            random = np.random.default_rng([arguments.seed, number])
            data, way = damaged(whole[kind], kind, random)
            cost = measured(kind, data, Path(name))
            times, more = cost.seconds / base[kind].seconds, cost.bytes - base[kind].bytes
            counts[kind][cost.ended] += 1
            worst[kind] = list(map(max, worst[kind], (cost.seconds, times, more)))
            slow = times > TIMES and cost.seconds > base[kind].seconds + 1
            if cost.ended not in ("read", "refused") or slow or more > MORE_BYTES:
                bad += 1
                print(f"{kind} {number} ({way}): {times:.1f}x, {more >> 20} MiB more: {cost.line}")
    heads = f"{'read':>6} {'refused':>8} {'other':>6} {'seconds':>8} {'times':>8} {'memory':>12}"
    print(f"{'format':12} {heads}")
    for kind in arguments.formats:
        done = counts[kind]
        other = sum(done.values()) - done["read"] - done["refused"]
        print(
            f"{kind:12} {done['read']:6} {done['refused']:8} {other:6} {worst[kind][0]:8.2f} "
            f"{worst[kind][1]:7.1f}x {worst[kind][2] / 2**20:8.0f} MiB"
        )
    print(f"{arguments.mutants} mutants, {bad} bad, {time.monotonic() - begun:.0f} s")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
