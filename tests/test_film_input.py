"""Films with faults, as cameras, recorders and other programs leave them."""

from fractions import Fraction

import numpy as np
import pytest
from film_files import TIMES, film, pictures, sound, times
from PIL import Image

from jaxpercept import config
from jaxpercept.inference import containers, film_reading, films
from jaxpercept.inference.file_jobs import Job
from jaxpercept.inference.flow import Task
from jaxpercept.inference.treatment import Treatment

av = pytest.importorskip("av", reason="needs the extra `video`")


class Plain:
    """A net that changes nothing."""

    name = "plain"
    config = config.NET_PRESETS["resize"].scaled(0.1)

    def __call__(self, x):
        return x


def made(source, target):
    """Returns the job, and the lines that it printed."""
    said = []
    job = Job(1, said.append)
    films.process([Task(source, source.name, target)], Treatment(grain=0.0), Plain(), job)
    return job, said


def sounding(path, codec, rate, layout):
    """Writes a film of 10 frames, in 0.4 seconds, with a tone."""
    with av.open(str(path), "w") as out:
        picture = out.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        tone = out.add_stream(codec, rate=rate)
        tone.codec_context.layout = layout
        for i, pixels in enumerate(pictures(10)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        wave = np.sin(np.arange(rate * 4 // 10) / 20).astype(np.float32) / 3
        waves = wave[None].repeat(tone.codec_context.layout.nb_channels, 0)
        frame = av.AudioFrame.from_ndarray(waves, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        out.mux(tone.encode(frame))
        out.mux(tone.encode(None))
    return path


@pytest.mark.parametrize(
    ("kind", "rate", "layout", "suffix", "becomes"),
    [
        ("pcm_s16le", 192000, "stereo", ".mp4", ("aac", 48000, 2)),
        ("flac", 48000, "hexagonal", ".webm", ("opus", 48000, 2)),
        ("ac3", 48000, "5.1", ".webm", ("opus", 48000, 2)),
    ],
)
def test_sound_that_the_encoder_does_not_take_is_mixed_down(
    tmp_path, kind, rate, layout, suffix, becomes
):
    source = sounding(tmp_path / "a.mkv", kind, rate, layout)
    job, said = made(source, tmp_path / f"b{suffix}")
    assert not job.failed
    assert any("cannot hold the sound" in line for line in said)
    with av.open(str(tmp_path / f"b{suffix}")) as container:
        context = container.streams.audio[0].codec_context
        assert (context.name, context.sample_rate, context.layout.nb_channels) == becomes


def test_sound_of_an_unknown_kind_is_left_out(tmp_path):
    source = sounding(tmp_path / "a.mkv", "pcm_s16le", 48000, "mono")
    source.write_bytes(source.read_bytes().replace(b"A_PCM/INT/LIT", b"A_XYZ/INT/LIT"))
    job, said = made(source, tmp_path / "b.mp4")
    assert not job.failed
    assert "a.mkv: the sound is in an unknown format, and is left out" in said
    assert len(times(av, tmp_path / "b.mp4")) == 10


@pytest.mark.parametrize("later", [0, 90_000_000])
def test_times_that_begin_anew_or_jump_go_on_evenly(tmp_path, later):
    """A recorder that was restarted leaves two films in one stream."""
    first = film(av, tmp_path / "a.ts", sound="aac")
    second = film(av, tmp_path / "b.ts", times=[later + t for t in TIMES])
    source = tmp_path / "both.ts"
    source.write_bytes(first.read_bytes() + second.read_bytes())
    job, said = made(source, tmp_path / "b.mp4")
    assert not job.failed
    assert "both.ts: broken times of frames are replaced by those of a constant rate" in said
    found = times(av, tmp_path / "b.mp4")
    assert np.diff(found[:6]).tolist() == np.diff(TIMES).tolist()
    assert len(found) == 12
    assert 0 < np.diff(found).min() <= np.diff(found[5:]).max() <= 40


def test_sound_that_begins_anew_follows_what_came_before(tmp_path):
    first = film(av, tmp_path / "a.ts", sound="aac")
    source = tmp_path / "both.ts"
    source.write_bytes(first.read_bytes() * 2)
    assert not made(source, tmp_path / "b.mp4")[0].failed
    before, after = sound(av, first), sound(av, tmp_path / "b.mp4")
    assert len(after) == 2 * len(before)
    assert np.ptp(np.diff([time for time, _ in after])) <= 1


def test_an_avi_that_repeats_frames_is_whole(tmp_path):
    """AVI files hold an empty frame for each that is shown again, and count it."""
    with av.open(str(tmp_path / "a.avi"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for time, pixels in zip((0, 1, 2, 5, 6, 9), pictures(6), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    job, _ = made(tmp_path / "a.avi", tmp_path / "b.mp4")
    assert not job.failed
    assert times(av, tmp_path / "b.mp4") == [0, 40, 80, 200, 240, 360]


@pytest.mark.parametrize(
    ("about", "note"),
    [
        ({}, "10 bits are converted to 8"),
        ({"color_trc": 16, "color_primaries": 9, "colorspace": 9}, "high dynamic range (PQ)"),
        ({"color_trc": 18, "color_primaries": 9, "colorspace": 9}, "high dynamic range (HLG)"),
    ],
)
def test_deep_films_are_converted_and_it_is_said_once(tmp_path, about, note):
    source = film(av, tmp_path / "a.mp4", pix="yuv420p10le", **about)
    job, said = made(source, tmp_path / "b.mp4")
    assert not job.failed
    assert sum(note in line for line in said) == 1
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_transparency_of_films_is_kept_or_its_loss_is_said(tmp_path, monkeypatch):
    rgba = np.full((48, 64, 4), 200, np.uint8)
    rgba[:24] = (255, 0, 0, 0)  # red is hidden
    rgba[24:, :, 3] = 255
    source = film(av, tmp_path / "a.mov", frames=[rgba], times=[0], codec="png", pix="rgba")
    (frame,) = film_reading.read(source).frames
    np.testing.assert_array_equal(frame.alpha, rgba[..., 3])
    assert not made(source, tmp_path / "b.mp4")[0].failed
    (frame,) = film_reading.read(tmp_path / "b.mp4").frames
    assert frame.pixels[:20].min() > 250  # laid on white
    how = {"pix": "yuva420p", "options": {"crf": "4", "auto-alt-ref": "0"}, "bit_rate": 1_000_000}
    for codec in ("libvpx", "libvpx-vp9"):
        clip, kept = tmp_path / "a.webm", tmp_path / f"{codec}.png"
        film(av, clip, frames=[rgba] * 3, times=[0, 40, 80], codec=codec, **how)
        for frame in film_reading.read(clip, start=Fraction(4, 100)).frames:
            assert frame.alpha[:20].max() < 8  # red was hidden
            assert frame.alpha[28:].min() > 247
            assert np.abs(frame.pixels[28:].astype(int) - 200).max() < 8
        job, said = made(clip, kept)
        assert not job.failed
        assert not any("transparency cannot be read" in line for line in said)
        with Image.open(kept) as written:
            assert written.convert("RGBA").getpixel((5, 5))[3] < 8
    monkeypatch.setattr(containers, "_WITH_ALPHA", {})
    _, said = made(clip, tmp_path / "b.mp4")
    assert any("transparency cannot be read" in line for line in said)


def test_no_packet_of_sound_without_a_length_is_lost(tmp_path):
    """Matroska does not say how long a packet of ALAC lasts, and MP4 leaves out the last one."""
    source = tmp_path / "a.mkv"
    sounding(source, "alac", 48000, "mono")
    assert not made(source, tmp_path / "b.mp4")[0].failed
    before, after = (samples(path) for path in (source, tmp_path / "b.mp4"))
    assert before == after > 0


def samples(path):
    """Returns how many samples of sound are decoded."""
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


def empty(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()


def without_sides(path):
    film(av, path, codec="rawvideo", times=[0, 40])
    data = bytearray(path.read_bytes())
    header = data.index(b"strf") + 8
    data[header + 4 : header + 12] = bytes(8)  # width and height
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("no_frames.mp4", empty),
        ("no_frames.mkv", empty),
        ("zero_by_zero.avi", without_sides),
        ("no_bytes.mp4", lambda path: path.write_bytes(b"")),
    ],
)
def test_films_that_hold_nothing(tmp_path, name, make):
    make(tmp_path / name)
    job, _ = made(tmp_path / name, tmp_path / "out" / "b.mp4")
    (line,) = job.failed
    assert line.startswith(f"{tmp_path / name}: ")
    assert line.endswith(("give a film", "give another copy", "give a film, or another copy"))
    assert not (tmp_path / "out").exists()


def test_interlaced_films_are_deinterlaced(tmp_path):
    """A bar moves between the two fields of a frame. Woven together, its edges are combs."""

    def bar(at):
        picture = np.full((64, 96, 3), 40, np.uint8)
        picture[16:48, at : at + 20] = 220
        return picture

    with av.open(tmp_path / "film.mpg", "w") as container:
        options = {"flags": "+ildct+ilme", "b": "4M"}
        stream = container.add_stream("mpeg2video", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(10):
            woven = bar(6 * i)
            woven[1::2] = bar(6 * i + 3)[1::2]
            frame = av.VideoFrame.from_ndarray(woven, "rgb24")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for start in (Fraction(0), Fraction(1, 5)):
        film = film_reading.read(tmp_path / "film.mpg", start)
        frames = [f for f in film.frames if f.start >= start]
        assert [f.start for f in frames] == [start + Fraction(i, 25) for i in range(len(frames))]
        assert len(frames) == 10 - 25 * start
        assert film.notes == ["it is interlaced, and is deinterlaced"]
        combs = [np.abs(np.diff(f.pixels.astype(int), 2, axis=0))[20:42].mean() for f in frames]
        assert max(combs) < 4
