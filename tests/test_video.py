"""`video` on films and animations as users give them: times, sound, colours, sizes, bad input."""

import dataclasses
import gc
import struct
import sys
import types
import zlib
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import profiles
import pytest
from film_files import TIMES, film, pictures, sound, times
from helpers import png, save_style
from PIL import Image

from jaxpercept import config, files, images
from jaxpercept.cli import main
from jaxpercept.errors import InputError
from jaxpercept.evaluation.video import evaluate_video
from jaxpercept.images import animations, hdr
from jaxpercept.images.frames import Cut, Film, Frame
from jaxpercept.inference import (
    encoding,
    film_colour,
    film_frames,
    film_progress,
    film_reading,
    films,
)
from jaxpercept.inference.file_jobs import Job
from jaxpercept.inference.flow import Task
from jaxpercept.inference.treatment import Treatment
from jaxpercept.nets import net_file, transform_net


@pytest.fixture
def av():
    return pytest.importorskip("av", reason="needs the extra `video`")


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return save_style(tmp_path_factory.mktemp("net") / "one.safetensors", 0.1)


def status(*argv):
    try:
        return main([str(a) for a in argv])
    except SystemExit as e:
        return e.code


def animation(path, durations=(40, 80, 120, 200), **how):
    first, *rest = (Image.fromarray(x) for x in pictures(len(durations)))
    kind = "PNG" if path.suffix in (".png", ".apng") else None
    first.save(path, kind, save_all=True, append_images=rest, duration=list(durations), **how)
    return path


def shown(path):
    with Image.open(path) as image:
        found = []
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            found.append(image.info.get("duration"))
        return found, image.info.get("loop"), image.size


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng", ".png"])
def test_animations_keep_their_times_and_loops(net, tmp_path, suffix):
    source = animation(tmp_path / f"a{suffix}", loop=3)
    out = tmp_path / f"b{suffix}"
    assert status("video", source, "--style", net, "-o", out) == 0
    assert shown(out) == ([40, 80, 120, 200], 3, (64, 48))


@pytest.mark.parametrize(
    ("bits", "kind", "row", "key"),
    [
        (16, 0, b"\1\2\x64\0", b"\1\2"),
        (16, 2, b"\1\2" * 3 + b"\x64\0" * 3, b"\1\2" * 3),
        (2, 0, b"\x40", b"\0\1"),
    ],
)
def test_animated_png_of_other_depths(tmp_path, bits, kind, row, key):
    """The first of two pixels has the transparent colour."""
    control = struct.pack(">IIIIHHBB", 2, 1, 0, 0, 1, 25, 0, 0)
    before = [(b"acTL", bytes((0, 0, 0, 2, 0, 0, 0, 0))), (b"tRNS", key)]
    before += [(b"fcTL", bytes(4) + control)]
    again = (b"fdAT", b"\0\0\0\2" + zlib.compress(b"\0" + row))
    after = [(b"fcTL", b"\0\0\0\1" + control), again]
    (tmp_path / "a.png").write_bytes(png([row], 2, bits, kind, before, after))
    found = list(animations.read(tmp_path / "a.png").frames)
    assert [frame.alpha.tolist() for frame in found] == [[[0, 255]]] * 2
    assert {frame.pixels[0, 1, 0] for frame in found} == {0 if bits == 2 else 0x64}


def test_an_animation_without_a_loop_is_shown_once(net, tmp_path, capsys):
    source, how = animation(tmp_path / "a.gif"), ("--compare", "--crf", 20)
    assert status("video", source, "--style", net, *how, "-o", tmp_path / "b.gif") == 0
    assert "--codec and --crf do nothing" in capsys.readouterr().err
    assert shown(tmp_path / "b.gif") == ([40, 80, 120, 200], None, (128, 48))


@pytest.mark.filterwarnings("error")  # such as one of an exception that is ignored
@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_may_be_left_before_its_end(tmp_path, suffix):
    film = films.open_film(animation(tmp_path / f"a{suffix}", loop=3))
    assert next(film.frames).duration == Fraction(40, 1000)
    film.close()
    gc.collect()


def test_transparent_animations_stay_so(net, tmp_path):
    rgba = [np.dstack([x, np.full(x.shape[:2], 255, np.uint8)]) for x in pictures(3)]
    for x in rgba:
        x[..., 3] = 255 * np.tri(*x.shape[:2], dtype=np.uint8)
    first, *rest = (Image.fromarray(x) for x in rgba)
    first.save(tmp_path / "a.webp", save_all=True, append_images=rest, duration=50, lossless=True)
    assert status("video", tmp_path / "a.webp", "--style", net, "-o", tmp_path / "b.webp") == 0
    made = np.asarray(Image.open(tmp_path / "b.webp").convert("RGBA"))
    np.testing.assert_array_equal(made[..., 3], rgba[0][..., 3])


def test_a_film_keeps_its_times_and_its_sound(av, net, tmp_path):
    source = film(av, tmp_path / "a.mp4", sound="aac")
    out = tmp_path / "b.mp4"
    assert status("video", source, "--style", net, "-o", out) == 0
    assert times(av, out) == TIMES
    assert sound(av, out) == sound(av, source)
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # faststart
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize(
    ("kind", "source", "out", "made"),
    [("aac", "a.mp4", "b.webm", "opus"), ("pcm_s16le", "a.mkv", "b.mp4", "aac")],
)
def test_sound_that_a_container_cannot_hold_is_encoded_anew(
    av, net, tmp_path, capsys, kind, source, out, made
):
    given, out = film(av, tmp_path / source, sound=kind), tmp_path / out
    assert status("video", given, "--style", net, "--size", 32, "-o", out) == 0
    assert f"cannot hold the sound ({kind}): it is re-encoded" in capsys.readouterr().err
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == made
        assert container.duration == pytest.approx(384_000, abs=60_000)  # of the sound, in µs


def test_a_size_that_changes_stops_the_film(av, tmp_path):
    first = film(av, tmp_path / "a.ts")
    later = [400 + time for time in TIMES]
    second = film(av, tmp_path / "b.ts", frames=pictures(6, 64, 96), times=later)
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    job = films.process([Task(both, "both.ts", tmp_path / "o.mp4")], Treatment(), Plain(), Job(1))
    assert "its size changes from 64x48 to 96x64 at 0.360 s" in job.failed[0]
    assert not (tmp_path / "o.mp4").exists()
    assert len(list(film_reading.read(both, end=Fraction(9, 25)).frames)) == 6


def test_parts_and_rates(av, net, tmp_path):
    source, out = film(av, tmp_path / "a.mp4"), tmp_path / "b.mkv"
    part = ["--from", "0.05", "--to", "0:00.31"]
    assert status("video", source, "--style", net, *part, "-o", out) == 0
    assert times(av, out) == [0, 50, 70, 250]  # the frame shown at 0.05 begins at 0
    assert status("video", source, "--style", net, "--fps", "10", "-o", out) == 0
    assert times(av, out)[:4] == [0, 100, 200, 300]


def test_a_part_of_a_transport_stream(av, tmp_path):
    """Seeking in it may end after the time that was asked for."""
    source = film(av, tmp_path / "a.ts", frames=pictures(100), times=range(0, 4000, 40))
    for start in (Fraction(1, 10), Fraction(2), Fraction(7, 2)):
        cut = Cut(start=start, end=start + Fraction(2, 5))
        found = list(cut.applied(film_reading.read(source, start)))
        assert found[0].start == 0
        assert found[-1].end == pytest.approx(0.4, abs=0.001)
        assert len(found) in (10, 11)


def test_a_matroska_film_that_is_cut_short(av, tmp_path):
    for start in (9000, 0):
        shown = range(start, start + 4000, 40)
        source = film(av, tmp_path / "a.mkv", frames=pictures(100), times=shown)
        whole = film_reading.read(source)
        assert (len(list(whole.frames)), whole.damage) == (100, None)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    short = film_reading.read(source)
    count = len(list(short.frames))
    assert 20 < count < 80
    assert short.damage is not None
    assert short.damage.startswith("cut short after ")
    assert short.damage.endswith(" of 4.00 s")


def test_damage_in_the_middle_of_a_film_is_said(av, net, tmp_path, capsys):
    source = film(av, tmp_path / "a.ts", frames=pictures(100), times=range(0, 4000, 40))
    data = bytearray(source.read_bytes())
    middle = slice(len(data) // 2, len(data) * 11 // 20)
    data[middle] = bytes(len(data[middle]))
    source.write_bytes(data)
    out = tmp_path / "b.mp4"
    line = ["video", source, tmp_path / "none.ts", "--style", net, "--strength", 0, "-o", out]
    assert status(*line) == 1
    assert capsys.readouterr().err.count("a.ts: damaged near ") == 1
    assert times(av, out)[-1] == 3960


@pytest.mark.parametrize(
    ("matrix", "wanted"),
    [
        ((1, 0, 0, 1), lambda x: x),
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
        ((-1, 0, 0, -1), lambda x: np.rot90(x, 2)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda x: x.transpose(1, 0, 2)),
    ],
)
def test_display_matrices_turn_and_mirror(matrix, wanted):
    a, b, c, d = matrix
    values = np.array([[a, b, 0], [c, d, 0], [0, 0, 1 << 14]], "<i4") * 65536

    frame = types.SimpleNamespace(side_data={"DISPLAYMATRIX": values.tobytes()}, rotation=0)
    picture = pictures(1)[0]
    np.testing.assert_array_equal(film_colour.turned(picture, frame), wanted(picture))


def test_odd_sizes_and_rotation(av, net, tmp_path, monkeypatch):
    odd = [x[:47, :63] for x in pictures(3)]
    odd = [np.ascontiguousarray(x) for x in odd]
    source = film(av, tmp_path / "a.mkv", frames=odd, times=[0, 40, 80], pix="yuv444p")
    out = tmp_path / "b.mp4"
    assert status("video", source, "--style", net, "--strength", 0, "-o", out) == 0
    with av.open(str(out)) as container:
        made = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert made.shape == (48, 64, 3)
    assert np.abs(made[47].astype(int) - made[46]).mean() < 8  # repeated

    class Turned:
        """A frame with a rotation flag."""

        def __init__(self, frame):
            self.frame, self.rotation = frame, 90

        def __getattr__(self, name):
            return getattr(self.frame, name)

    class Reformatter:
        def reformat(self, frame, **how):
            return frame.reformat(**how)

    with av.open(str(source)) as container:
        frame = next(container.decode(video=0))
        upright, turned = (film_colour.upright(x, Reformatter()) for x in (frame, Turned(frame)))
    np.testing.assert_array_equal(turned, np.rot90(upright))


@pytest.mark.parametrize(("matrix", "full"), [(1, 1), (6, 1), (1, 2)])
def test_colours_come_back(av, net, tmp_path, matrix, full):
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(64, 0).repeat(3, 2)
    bars = np.zeros((64, 256, 3), np.uint8)
    for i in range(8):
        bars[:, 32 * i : 32 * i + 32] = [255 * (i >> c & 1) for c in range(3)]
    inside = np.arange(256) % 32
    inside = (inside >= 6) & (inside < 26)
    for image, columns, most in ((ramp, slice(8, -8), 2), (bars, inside, 3)):
        tags = {"colorspace": matrix, "color_range": full}
        tags |= {"color_primaries": matrix, "color_trc": matrix}
        source = film(av, tmp_path / "a.mp4", frames=[image] * 2, times=[0, 40], **tags)
        out = tmp_path / "b.mp4"
        assert status("video", source, "--style", net, "--strength", 0, "-o", out) == 0
        made = next(films.open_film(out).frames).pixels
        assert np.abs(made.astype(int) - image)[8:-8, columns].max() <= most


def test_a_film_of_larger_frames_than_allowed_names_the_fix(net, tmp_path, capsys):
    clip = animation(tmp_path / "a.gif")
    with Image.open(clip) as opened:
        width, height = opened.size
    most = ["--max-pixels", width * height - 1]
    assert status("video", clip, "--style", net, *most, "-o", tmp_path / "b.gif") == 2
    said = f"a.gif: is {width}x{height}, {width * height:,} pixels, more than the limit of"
    told = capsys.readouterr().err
    assert said in told
    assert "; shrink it, give a smaller --size or raise --max-pixels" in told


def test_a_truncated_film_is_done_up_to_its_damage(av, net, tmp_path, capsys):
    first = film(av, tmp_path / "a.mp4", frames=pictures(40), times=[40 * i for i in range(40)])
    whole = tmp_path / "whole.mp4"
    assert status("video", first, "--style", net, "--strength", 0, "-o", whole) == 0  # faststart
    data = whole.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    out = tmp_path / "b.mp4"
    assert status("video", tmp_path / "cut.mp4", "--style", net, "-o", out) == 1
    assert 5 < len(times(av, out)) < 40
    assert "holds the frames before it" in capsys.readouterr().err


def test_a_bad_film_is_named_and_the_rest_done(av, net, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    film(av, tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "bad.mp4").write_bytes(b"no film" * 50)
    assert status("video", tmp_path / "in", "--style", net, "-o", tmp_path / "out") == 1
    assert "bad.mp4: cannot be read as a film" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a_one.mp4"]
    again = ["--skip-existing", "-o", tmp_path / "out"]
    assert status("video", tmp_path / "in/a.mp4", "--style", net, *again) == 0
    assert "existed already" in capsys.readouterr().err


BAD = {
    "unknown suffix": ("a.gif -o b.xyz --style NET", "b.xyz"),
    "not written": ("a.gif -o b.wmv --style NET", "films are not written as '.wmv'"),
    "one picture": ("still.png --style NET", "a single image, not an animation"),
    "one photo": ("still.jpg --style NET", "still.jpg: is a picture; use stylize"),
    "no such file": ("none.mp4 --style NET", "none.mp4"),
    "times": ("a.gif --from 5 --to 4 --style NET", "--to 4 is not after --from"),
    "no time": ("a.gif --from x --style NET", "--from 'x' is not a time"),
    "past the end": ("a.gif --from 9 --style NET", "no frames between --from and --to"),
    "late": (f"a.gif --to {10**20} --style NET", f"--to '{10**20}' is not a time"),
    "rate": ("a.gif --fps 0 --style NET", "--fps '0' is not allowed"),
    "small rate": ("a.gif --fps 1e-9 --style NET", "'1e-9' is not allowed; give a number from 0.0"),
    "endless rate": ("a.gif --fps 1e999999999 --style NET", "--fps '1e999999999' is not allowed"),
    "codec": ("a.gif --codec x -o b.mp4 --style NET", "h264"),
    "MOV": ("a.gif --codec vp9 -o b.mov --style NET", ".mov cannot hold it"),
    "too small": ("tiny.gif --style NET", "too small"),
    "standard output": ("a.gif -o - --style NET", "files only"),
    "no input": ("--style NET", "no input film"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_one_line(net, tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    animation(tmp_path / "a.gif")
    for suffix in (".png", ".jpg"):
        images.save_image(tmp_path / f"still{suffix}", pictures(1)[0])
    small = [Image.fromarray(x[:8, :8]) for x in pictures(2)]
    small[0].save("tiny.gif", save_all=True, append_images=small[1:])
    before = sorted(p.name for p in tmp_path.rglob("*"))
    line, said = BAD[case]
    assert status("video", *line.replace("NET", str(net)).split()) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
    after = sorted(p.name for p in tmp_path.rglob("*"))
    assert [name for name in after if name != "outputs"] == before


def test_without_the_extra(net, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"x")
    assert status("video", tmp_path / "a.mp4", "--style", net, "-o", tmp_path / "b.mp4") == 2
    assert "jaxpercept[video]" in capsys.readouterr().err
    source = animation(tmp_path / "a.gif")
    assert status("video", source, "--style", net, "-o", tmp_path / "b.gif") == 0


def test_a_part_past_the_end_tells_how_long_the_film_is(av, net, tmp_path, capsys):
    source = film(av, tmp_path / "a.mp4", frames=pictures(50), times=[40 * i for i in range(50)])
    words = "video", source, "--style", net, "-o", tmp_path / "b.mp4", "--from", "100"
    assert status(*words) == 2
    assert "a.mp4: has no frames between --from and --to of its 2.0 seconds" in (
        capsys.readouterr().err
    )
    assert status(*words, "--fps", "5") == 2
    assert "a.mp4: has no frames between --from and --to; give" in capsys.readouterr().err


def test_a_film_without_pictures(av, net, tmp_path, capsys):
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert status("video", tmp_path / "a.mp4", "--style", net, "-o", tmp_path / "b.mp4") == 2
    assert "no video stream" in capsys.readouterr().err
    assert not (tmp_path / "b.mp4").exists()


class Plain:
    """A net that changes nothing; it may be interrupted."""

    name = "plain"
    config = config.NET_PRESETS["resize"].scaled(0.1)

    def __init__(self, error=None):
        self.error = error

    def __call__(self, x):
        if self.error:
            raise self.error
        return x


def test_upscale_enlarges_films(av, tmp_path, capsys):
    source = film(av, tmp_path / "a.mp4", sound="aac")
    weights = tmp_path / "x2.safetensors"
    tiny = dataclasses.replace(config.superres_net(2), stem=4, blocks=1)
    params, stats = transform_net.init(tiny)
    still = {name: np.zeros(value.shape) for name, value in params.items()}  # bicubic alone
    net_file.save(weights, tiny, still, stats, {"task": "superres"})
    line = ["upscale", source, "--model", weights]
    assert status(*line, "-o", tmp_path / "b.mp4") == 0
    before, after = (list(films.open_film(p).frames) for p in (source, tmp_path / "b.mp4"))
    assert [f.start for f in after] == [f.start for f in before]
    assert after[0].pixels.shape == (96, 128, 3)
    shrunk = images.resize(images.to_float(after[0].pixels), (48, 64))
    assert np.abs(shrunk - images.to_float(before[0].pixels)).mean() < 0.02
    with av.open(str(tmp_path / "b.mp4")) as made:
        assert made.streams.audio
    assert status(*line, "--width", 96, "-o", tmp_path / "out") == 0
    (wide,) = (tmp_path / "out").iterdir()
    assert wide.name == "a_x2-96px.mp4"
    assert films.width(wide) == 96
    for words, said in (
        (["--width", 200], "a net of scale 2 cannot enlarge 3.125 times"),
        (["--max-pixels", 5000], "shrink it or raise --max-pixels"),
        (["--width", 96, "--max-pixels", 5000], "64x48 would become 128x96 before it is reduced"),
        (["--format", "png"], "--format png is for images"),
    ):
        assert status(*line, *words, "-o", tmp_path / "bad") == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "bad").exists()
    assert status(*line, "--quality", 50, "-o", tmp_path / "d.mp4") == 0
    assert "--quality does nothing for .mp4 here" in capsys.readouterr().err
    moving = animation(tmp_path / "c.gif", loop=3)
    black, white = (Image.new("RGB", (8, 8), color) for color in ("black", "white"))
    black.save(tmp_path / "small.gif", save_all=True, append_images=[white])
    several = (moving, tmp_path / "small.gif", "--width", 100, "-o", tmp_path / "several")
    assert status("upscale", *several, *line[2:]) == 1
    assert "small.gif: a net of scale 2 does not enlarge 8x8 12.5 times" in capsys.readouterr().err
    assert status("upscale", moving, *line[2:], "-o", tmp_path / "d.gif") == 0
    assert shown(tmp_path / "d.gif") == ([40, 80, 120, 200], 3, (128, 96))
    assert status("upscale", moving, *line[2:], "-o", tmp_path / "d.png") == 0
    assert images.size_of(tmp_path / "d.png") == (96, 128)
    assert "only its first frame is read" in capsys.readouterr().err
    assert status("upscale", source, tmp_path / "a.png", "-o", tmp_path / "bad") == 2
    assert "enlarge films in a command of their own" in capsys.readouterr().err


class Flickering(Plain):
    """A net that adds fresh noise to each frame."""

    def __init__(self):
        super().__init__()
        self.random = np.random.default_rng(0)

    def __call__(self, x):
        return np.clip(x + self.random.normal(0, 0.1, x.shape).astype(np.float32), 0, 1)


def test_smoothing_lessens_flicker_and_leaves_a_cut(tmp_path):
    pytest.importorskip("cv2", reason="needs the extra `video`")
    frames = [Image.new("RGB", (64, 48), (128, 128, 128)) for _ in range(8)]
    for i, frame in enumerate(frames):
        frame.putpixel((0, 0), (100 + i,) * 3)  # Pillow would join frames that are equal
    frames.append(Image.fromarray(pictures(1)[0]))
    save = {"save_all": True, "append_images": frames[1:], "duration": 40, "lossless": True}
    frames[0].save(tmp_path / "a.png", **save)

    def flicker(share):
        out = tmp_path / f"{share}.png"
        making = film_frames.Making(smooth=share)
        task = Task(tmp_path / "a.png", "a.png", out)
        assert not films.process([task], Treatment(), Flickering(), Job(1), making).failed
        made = np.stack([images.to_float(f.pixels) for f in films.open_film(out).frames])
        still = made[3:8]  # the first frames have little to blend in
        return np.sqrt(np.mean((still[1:] - still[:-1]) ** 2)), made[-1]

    (plain, last), (smooth, smoothed) = flicker(0.0), flicker(0.75)
    # of fresh noise, a share s leaves (1 - s) / sqrt(1 + s) of the differences between frames
    assert smooth / plain == pytest.approx(0.25 / 1.75**0.5, abs=0.03)
    trail = np.abs(smoothed - last).mean((0, 1)).max()
    assert trail < 0.03  # the grey before the cut is not to be seen


@pytest.mark.parametrize("name", ["smooth", "steady"])
def test_python_checks_the_shares_too(name):
    for use in (film_frames.Making, partial(evaluate_video, [], [])):
        with pytest.raises(InputError, match=f"{name} 2 is not allowed; give 0 to 0.9"):
            use(**{name: 2.0})


@pytest.mark.parametrize("option", ["--smooth", "--steady"])
def test_smoothing_checks_its_share_and_opencv(net, tmp_path, monkeypatch, capsys, option):
    line = ["video", tmp_path / "a.gif", "--style", net, "-o", tmp_path / "b.gif", option]
    assert status(*line, 0.95) == 2
    assert f"{option} 0.95 is not allowed; give 0 to 0.9" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert status(*line, 0.5) == 2
    assert "needs the extra `video`" in capsys.readouterr().err


def test_nothing_half_written_stays(av, tmp_path, monkeypatch):
    source = film(av, tmp_path / "a.mp4")
    out = tmp_path / "out" / "b.mp4"
    task = Task(source, "a.mp4", out)
    with pytest.raises(KeyboardInterrupt):
        films.process([task], Treatment(), Plain(KeyboardInterrupt()), Job(1))

    def full(self, frame):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoding.Encoder, "add", full)
    job = films.process([task], Treatment(), Plain(), Job(1))
    assert "No space left on device" in job.failed[0]
    assert "make room" in job.failed[0]
    assert not out.parent.exists()


def test_broken_times_are_mended(tmp_path):
    class Broken:
        pts, duration, time_base = None, 0, Fraction(1, 1000)

    made = Film(tmp_path, rate=Fraction(25))
    decoding = film_reading._Decoding.__new__(film_reading._Decoding)
    decoding.film, decoding.begin, decoding.step = made, Fraction(0), Fraction(1, 25)
    decoding.due = decoding.last = None
    decoding.made_up = False
    found = [decoding.time(Broken()) for _ in range(3)]
    assert found == [(Fraction(i, 25), Fraction(1, 25)) for i in range(3)]
    assert len(made.notes) == 1


def test_resampling_repeats_and_drops():
    frames = [Frame(np.zeros((1, 1, 3), np.uint8), Fraction(t), Fraction(1)) for t in (0, 1, 2)]
    made = Film(files.Path("x"), iter(frames))
    found = [(f.start, f.duration) for f in Cut(fps=Fraction(2)).applied(made)]
    assert found == [(Fraction(i, 2), Fraction(1, 2)) for i in range(6)]
    for fps, count in (Fraction(1), 3), (Fraction(1, 9), 1):
        made = Film(files.Path("x"), iter(frames))
        assert len(list(Cut(fps=fps).applied(made))) == count


def test_a_part_ends_where_it_ends():
    frames = [Frame(np.zeros((1, 1, 3), np.uint8), Fraction(t), Fraction(1)) for t in (0, 1, 2)]
    part = list(Cut(end=Fraction(3, 2)).applied(Film(files.Path("x"), iter(frames))))
    assert [(f.start, f.end) for f in part] == [(0, 1), (1, Fraction(3, 2))]


@pytest.mark.parametrize(("rate", "count"), [(30, 30), (60, 40), (25, 25)])
def test_gifs_of_any_rate_last_as_long(tmp_path, rate, count):
    """Their times are hundredths of a second, and browsers slow frames of one hundredth down."""
    frames = [Frame(x, Fraction(i, rate), Fraction(1, rate)) for i, x in enumerate(pictures(rate))]
    with (tmp_path / "a.gif").open("wb") as file:
        animations.write(file, ".gif", frames, None, None)
    durations, _, _ = shown(tmp_path / "a.gif")
    assert (sum(durations), len(durations)) == (1000, count)
    assert min(durations) >= 20


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_of_a_film_of_variable_rate_keeps_its_times(tmp_path, suffix):
    """FFmpeg names the durations of MP4 in the order of decoding."""
    times, named = (0, 60, 100, 350), (60, 250, 40, 40)
    frames = [
        Frame(x, Fraction(at, 1000), Fraction(long, 1000))
        for x, at, long in zip(pictures(4), times, named, strict=True)
    ]
    with (tmp_path / f"a{suffix}").open("wb") as file:
        animations.write(file, suffix, frames, None, None)
    assert shown(tmp_path / f"a{suffix}")[0] == [60, 40, 250, 40]


def test_hdr_white_is_bright_and_black_is_black():
    grey = np.array([[[0] * 3, [38055] * 3, [65535] * 3]], np.uint16)  # PQ: 0, 203 and 10,000 cd/m²
    made = hdr.to_standard(grey, "PQ")[0]
    assert made[0].max() == 0
    assert 225 < made[1].min() < 255
    assert made[2].min() >= 253
    assert np.ptp(made, axis=-1).max() <= 1


def test_no_film_in_a_folder(tmp_path):
    with pytest.raises(InputError, match="no film in this folder"):
        images.find_images(tmp_path, suffixes=films.READ_SUFFIXES, what="film")


def test_the_rate_of_a_film_leaves_out_the_wait_for_the_compiler(monkeypatch):
    clock, said = [0.0], []
    monkeypatch.setattr(film_progress.time, "monotonic", lambda: clock[0])

    def frames():
        for seconds in (60, 2, 2, 2, 2):
            clock[0] += seconds
            yield None

    made = Film(Path("a.mp4"), count=9)
    list(film_progress.told(frames(), made, Cut(), 2, said.append))
    assert said == ["6 frames of 9, 0:06 left, 0.50 frames/s"]


def test_the_colour_profile_of_an_animation_is_applied(tmp_path):
    frames = [Image.fromarray(x) for x in pictures(2)]
    for name, more in (("a.png", {}), ("b.png", {"icc_profile": profiles.rgb()})):
        first, rest = frames[0], frames[1:]
        first.save(tmp_path / name, "PNG", save_all=True, append_images=rest, duration=40, **more)
    films = [animations.read(tmp_path / name) for name in ("a.png", "b.png")]
    plain, wide = (list(film.frames)[0].pixels for film in films)  # noqa: RUF015  read to its end
    still = images.load_uint8(tmp_path / "b.png")
    np.testing.assert_array_equal(wide, still)
    assert np.abs(wide.astype(int) - plain).mean() > 1
