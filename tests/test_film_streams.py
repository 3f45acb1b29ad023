"""Films as other programs store them: their names, streams, times, colours and damage."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from film_files import TIMES, film, pictures, sound, times
from helpers import png
from PIL import Image
from test_film_input import Plain, made, sounding

from jaxpercept.errors import InputError
from jaxpercept.images import animations, hdr
from jaxpercept.images.frames import Cut, Film, Frame
from jaxpercept.inference import containers, film_reading, films
from jaxpercept.inference.encoding import Encoding
from jaxpercept.inference.file_jobs import Job
from jaxpercept.inference.film_frames import Making
from jaxpercept.inference.flow import Task
from jaxpercept.inference.treatment import Treatment

av = pytest.importorskip("av", reason="needs the extra `video`")
DEFAULT, COVER = 1 << 0, 1 << 10  # FFmpeg's dispositions


def streams(path, *about):
    """Writes a film with a stream for each (codec, disposition, brightness or pitch, time)."""
    with av.open(str(path), "w") as out:
        made = []
        for codec, disposition, value, start in about:
            stream = out.add_stream(codec, rate=48000 if codec == "aac" else 25)
            stream.disposition = disposition
            if codec != "aac":
                stream.width, stream.height = 64, 48
                stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            made.append((stream, codec, disposition, value, start))
        for stream, codec, disposition, value, start in made:
            if codec == "aac":
                wave = np.sin(np.arange(19200) / value).astype(np.float32)[None] / 3
                frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 48000, round(48000 * start)
                packets = stream.encode(frame)
            else:
                packets = []
                for i in range(1 if disposition & COVER else 10):
                    grey = np.full((48, 64, 3), value, np.uint8)
                    frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                    frame.pts, frame.time_base = i + round(25 * start), Fraction(1, 25)
                    packets += stream.encode(frame)
            out.mux(packets + stream.encode(None))
    return path


def grey(path):
    return next(films.open_film(path).frames).pixels.mean()


def test_a_name_may_hold_a_colon_and_a_percent_sign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, target = Path("12:30 é%03d.mp4"), Path("o:ut") / "b:%d.mp4"
    film(av, tmp_path / source, sound="aac")
    job, _ = made(source, target)
    assert not job.failed
    assert times(av, tmp_path / target) == TIMES
    assert sound(av, tmp_path / target) == sound(av, tmp_path / source)


def test_titles_may_be_in_any_encoding(tmp_path):
    source = tmp_path / "a.avi"
    with av.open(str(source), "w") as out:
        out.metadata["title"] = "CafeX"
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for pixels in pictures(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    source.write_bytes(source.read_bytes().replace(b"CafeX", b"Caf\xe9 "))
    assert not made(source, tmp_path / "b.mp4")[0].failed


@pytest.mark.parametrize(("version", "options"), [("18.1.0", ["metadata_errors"]), ("19.0.2", [])])
def test_films_open_with_the_options_of_their_pyav(monkeypatch, version, options):
    seen = []
    stand_in = SimpleNamespace(__version__=version, open=lambda name, **rest: seen.extend(rest))
    monkeypatch.setattr(containers, "library", lambda: stand_in)
    containers.opened(Path("a.mp4"))
    assert seen == options


def test_the_default_streams_are_taken(tmp_path):
    about = [("libx264", 0, 50, 0), ("libx264", DEFAULT, 200, 0)]
    about += [("aac", 0, 20, 0), ("aac", DEFAULT, 5, 0)]
    source, out = streams(tmp_path / "a.mkv", *about), tmp_path / "b.mkv"
    assert not made(source, out)[0].failed
    assert grey(out) == pytest.approx(200, abs=2)
    with av.open(str(source)) as container:
        second = [bytes(p) for p in container.demux(audio=1) if p.size]
    assert [data for _, data in sound(av, out)] == second


def test_a_cover_is_no_film(tmp_path):
    film_too = streams(tmp_path / "a.mp4", ("mjpeg", COVER, 50, 0), ("libx264", 0, 200, 0))
    assert not made(film_too, tmp_path / "b.mp4")[0].failed
    assert grey(tmp_path / "b.mp4") == pytest.approx(200, abs=2)
    music = streams(tmp_path / "m.mp4", ("aac", DEFAULT, 20, 0), ("mjpeg", COVER, 50, 0))
    job, _ = made(music, tmp_path / "c.mp4")
    assert job.failed == [f"{music}: has no video stream; give a film"]


def test_an_unknown_codec_is_named_as_such(tmp_path):
    source = film(av, tmp_path / "a.mkv")
    source.write_bytes(source.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_XPEG4/ISO/AVC"))
    job, _ = made(source, tmp_path / "b.mp4")
    assert job.failed == [f"{source}: its video is in an unknown format; convert it to H.264"]


def test_a_damaged_picture_does_not_end_the_film(tmp_path):
    source = film(
        av, tmp_path / "a.mp4", frames=pictures(60), times=range(0, 2400, 40), gop_size=20
    )
    with av.open(str(source)) as container:
        packet = [p for p in container.demux(video=0) if p.size][30]
        place, size = packet.pos, packet.size
    data = bytearray(source.read_bytes())
    data[place : place + size] = b"\xff" * size
    source.write_bytes(data)
    job, _ = made(source, tmp_path / "b.mp4")
    assert job.failed[0].startswith("a.mp4: damaged near 1.")
    found = times(av, tmp_path / "b.mp4")
    assert found[-1] == 2360
    assert len(found) >= 57


def test_an_avi_with_frames_held_back(tmp_path):
    """AVI files hold no times, but the order of decoding."""
    source = streams(tmp_path / "a.avi", ("libx264", 0, 200, 0))
    with av.open(str(source)) as container:
        assert container.streams.video[0].codec_context.has_b_frames
    job, said = made(source, tmp_path / "b.mp4")
    assert not job.failed
    assert times(av, tmp_path / "b.mp4") == list(range(0, 400, 40))
    assert not any("broken times" in line for line in said)


def test_sound_whose_first_piece_is_cut_is_encoded_anew(tmp_path):
    source = sounding(tmp_path / "a.mkv", "ac3", 48000, "stereo")
    with av.open(str(source)) as container:
        first = next(bytes(p) for p in container.demux(audio=0))
    source.write_bytes(source.read_bytes().replace(first, b"\xff" * len(first)))
    job, _ = made(source, tmp_path / "b.webm")
    assert not job.failed
    with av.open(str(tmp_path / "b.webm")) as container:
        heard = sum(f.samples for f in container.decode(audio=0))
    assert 0.3 < heard / 48000 < 0.45


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_what_an_encoder_puts_before_the_sound_moves_no_frame_in_matroska(tmp_path, name):
    source = film(av, tmp_path / name, sound="aac")
    assert not made(source, tmp_path / "b.mkv")[0].failed
    assert times(av, tmp_path / "b.mkv") == TIMES
    for path in (source, tmp_path / "b.mkv"):
        with av.open(str(path)) as container:
            heard = list(container.decode(audio=0))
        assert (heard[0].pts, sum(frame.samples for frame in heard)) == (0, 18 * 1024)


def test_a_cut_from_mp4_to_matroska_loses_no_sound(tmp_path):
    """A decoder may leave out as much as the file's header says; it is before the cut."""
    source, out = film(av, tmp_path / "a.mp4", sound="aac"), tmp_path / "b.mkv"
    job = Job(1, lambda line: None)
    cut = Making(cut=Cut(start=Fraction(1, 10)))
    films.process([Task(source, source.name, out)], Treatment(grain=0.0), Plain(), job, cut)
    with av.open(str(out)) as container:
        heard = list(container.decode(audio=0))
    assert (heard[0].pts, sum(frame.samples for frame in heard)) == (7, 13 * 1024)


@pytest.mark.skipif("libmp3lame" not in av.codecs_available, reason="needs an MP3 encoder")
def test_sound_at_a_rate_that_the_format_refuses(tmp_path):
    source = sounding(tmp_path / "a.mkv", "libmp3lame", 11025, "mono")
    job, said = made(source, tmp_path / "b.mp4")
    assert not job.failed
    assert any("cannot hold the sound (mp3float): it is re-encoded as aac" in line for line in said)
    assert len(sound(av, tmp_path / "b.mp4")) > 2


def test_sound_that_is_named_and_never_comes(tmp_path):
    source = tmp_path / "a.ts"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.add_stream("mp2", rate=48000)
        for i, pixels in enumerate(pictures(10)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    for name in ("b.mp4", "b.webm"):
        assert not made(source, tmp_path / name)[0].failed
        assert len(times(av, tmp_path / name)) == 10


def test_frames_of_one_time_do_not_move_the_later_ones(tmp_path):
    decoding = film_reading._Decoding.__new__(film_reading._Decoding)
    decoding.film = Film(tmp_path, time_base=Fraction(1, 1000))
    decoding.begin, decoding.step = Fraction(0), Fraction(1, 25)
    decoding.due = decoding.last = decoding.delay = None
    decoding.made_up = False

    class Shown:
        duration, time_base = 40, Fraction(1, 1000)

        def __init__(self, pts):
            self.pts = pts

    found = [decoding.time(Shown(pts))[0] for pts in (0, 40, 40, 40, 80, 120, 160)]
    assert [1000 * at for at in found] == [0, 40, 60, 80, 100, 120, 160]


def test_a_frame_is_shown_until_the_next():
    """Films of a screen hold few frames, and their durations are too short."""
    frames = [Frame(np.zeros((1, 1, 3), np.uint8), Fraction(t), Fraction(1)) for t in (0, 5, 6)]

    def part(start, end=None):
        cut = Cut(start=Fraction(start), end=None if end is None else Fraction(end))
        return [(f.start, f.end) for f in cut.applied(Film(Path("x"), iter(frames)))]

    assert part(3) == [(0, 2), (2, 3), (3, 4)]
    assert part(3, 4) == [(0, 1)]
    assert part(5) == [(0, 1), (1, 2)]
    assert part(8) == []


def test_wide_colours_of_the_standard_range(tmp_path):
    ramp = np.arange(0, 65536, 257, dtype=np.uint16)[None, :, None].repeat(3, 2)
    grey = hdr.to_standard(ramp, hdr.WIDE)
    assert np.abs(grey.astype(int) - np.arange(256)[None, :, None]).max() <= 1
    red = np.array([0.6274, 0.0691, 0.0164])  # of BT.709, in BT.2020
    red = np.where(red < 0.018, 4.5 * red, 1.099 * red**0.45 - 0.099)
    flat = np.broadcast_to(np.round(255 * red).astype(np.uint8), (48, 64, 3))
    about = {"colorspace": 9, "color_primaries": 9, "color_trc": 14}
    source = film(av, tmp_path / "a.mp4", frames=[np.ascontiguousarray(flat)], times=[0], **about)
    job, said = made(source, tmp_path / "b.mp4")
    assert not job.failed
    assert "a.mp4: the wide colours of BT.2020 are converted to those of BT.709" in said
    middle = next(films.open_film(tmp_path / "b.mp4").frames).pixels[20:28, 28:36].mean((0, 1))
    np.testing.assert_allclose(middle, (255, 0, 0), atol=12)


def test_the_primaries_and_the_curve_of_a_film_stay(tmp_path):
    about = {"colorspace": 5, "color_primaries": 5, "color_trc": 13}
    source = film(av, tmp_path / "a.mp4", **about)
    for name in ("b.mp4", "b.webm"):
        assert not made(source, tmp_path / name)[0].failed
        with av.open(str(tmp_path / name)) as container:
            frame = next(container.decode(video=0))
            assert (int(frame.color_primaries), int(frame.color_trc)) == (5, 13)


def test_grey_films_have_the_full_range(tmp_path):
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(48, 0)
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 48, "gray"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(ramp, format="gray")))
        out.mux(stream.encode(None))
    (frame,) = film_reading.read(tmp_path / "a.mkv").frames
    assert np.abs(frame.pixels.astype(int) - ramp[..., None]).max() <= 1


@pytest.mark.parametrize(("turn", "shape"), [(0, (48, 96)), (90, (96, 48)), (180, (48, 96))])
def test_formats_whose_pixels_are_square(tmp_path, turn, shape):
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        if turn and not hasattr(stream, "set_display_rotation"):
            pytest.skip("needs a newer PyAV")
        if turn:
            stream.set_display_rotation(turn)
        for pixels in pictures(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    for name in ("b.gif", "b.webm", "b.mp4"):
        assert not made(source, tmp_path / name)[0].failed
    for name in ("b.gif", "b.webm"):
        *_, frame = films.open_film(tmp_path / name).frames
        assert frame.pixels.shape[:2] == shape
    with av.open(str(tmp_path / "b.mp4")) as container:
        aspect = Fraction(2, 3) if turn == 90 else Fraction(3, 2)
        assert container.streams.video[0].sample_aspect_ratio == aspect


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_frames_of_no_time_are_shown_for_a_tenth_of_a_second(tmp_path, suffix):
    first, *rest = (Image.fromarray(x) for x in pictures(4))
    how = {"save_all": True, "append_images": rest, "duration": 0, "lossless": True}
    first.save(tmp_path / f"a{suffix}", **how)
    found = list(animations.read(tmp_path / f"a{suffix}").frames)
    assert [f.start for f in found] == [Fraction(i, 10) for i in range(4)]


def test_the_still_picture_of_an_animation_is_not_behind_its_frames(tmp_path):
    still, *moving = (np.full((48, 64, 4), value, np.uint8) for value in (255, 100, 50))
    for x in moving:
        x[..., 3] = 255
        x[:24] = 0
    first, *rest = map(Image.fromarray, (still, *moving))
    how = {"save_all": True, "append_images": rest, "default_image": True, "blend": 1}
    first.save(tmp_path / "a.png", duration=40, **how)
    found = list(animations.read(tmp_path / "a.png").frames)
    assert [frame.alpha[0, 0] for frame in found] == [0, 0]


def test_gifs_are_composed_as_in_browsers(tmp_path):
    """A red picture, and squares in its corner: a green one that is taken away, a blue one of which
    nothing is said, and a smaller red one."""
    frames = [Image.new("P", (8, 8), colour) for colour in (0, 1, 2, 0)]
    for frame in frames:
        frame.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    frames[2].putpixel((0, 0), 0)
    how = {"save_all": True, "append_images": frames[1:], "duration": 100, "disposal": [1, 2, 1, 1]}
    frames[0].save(tmp_path / "a.gif", **how)
    data = bytearray((tmp_path / "a.gif").read_bytes())
    places = [i for i in range(len(data)) if data[i:].startswith(b",\0\0\0\0\x08\0\x08\0")]
    for place, corner in zip(places, (0, 4, 4, 6), strict=True):
        data[place + 1] = data[place + 3] = corner  # the rest lies beyond the edge
    data[places[2] - 5] = 0  # the disposal of the blue one
    (tmp_path / "a.gif").write_bytes(data)
    found = list(animations.read(tmp_path / "a.gif").frames)
    assert [frame.pixels.shape for frame in found] == [(8, 8, 3)] * 4
    assert all(frame.alpha is None for frame in found)
    points = [["rgb"[frame.pixels[y, y].argmax()] for y in (0, 5, 7)] for frame in found]
    assert points == [list("rrr"), list("rgg"), list("rbb"), list("rbr")]


def test_a_gif_whose_first_frame_is_opaque_may_become_transparent(tmp_path):
    first, second = (Image.new("P", (8, 8), i) for i in (0, 1))
    for frame in (first, second):
        frame.putpalette([255, 0, 0, 0, 255, 0])
    second.paste(0, (0, 0, 8, 4))
    second.info["transparency"] = 0
    how = {"save_all": True, "append_images": [second], "duration": 100, "disposal": 2}
    first.save(tmp_path / "a.gif", **how)
    before, after = animations.read(tmp_path / "a.gif").frames
    assert before.alpha is None
    assert after.alpha[:, 0].tolist() == [0] * 4 + [255] * 4


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng"])
def test_nothing_shines_through_a_frame_that_is_not_the_first_transparent_one(tmp_path, suffix):
    """Opaque, twice the same, with a changed corner, with a hole, opaque again, with a hole."""
    whole = np.random.default_rng(0).integers(0, 4, (16, 24, 3), np.uint8) * 80
    corner = whole.copy()
    corner[:4, :4] = 255
    hole = np.full((16, 24), 255, np.uint8)
    hole[8:] = 0
    shown = [(whole, None), (whole, None), (corner, None), (whole, hole), (whole, None)]
    shown.append((corner, hole[::-1]))
    tenth = Fraction(1, 10)
    frames = [Frame(pixels, i * tenth, tenth, alpha) for i, (pixels, alpha) in enumerate(shown)]
    path = tmp_path / f"a{suffix}"
    with path.open("wb") as file:
        animations.write(file, suffix, frames, 0, 100)
    found = list(animations.read(path).frames)
    assert found[-1].end == 6 * tenth
    times = {frame.start: frame for frame in found}
    for i, (pixels, alpha) in enumerate(shown):
        frame = times[max(start for start in times if start <= i * tenth)]
        opaque = np.ones((16, 24), bool) if alpha is None else alpha > 0
        seen = np.ones((16, 24), bool) if frame.alpha is None else frame.alpha > 0
        np.testing.assert_array_equal(seen, opaque)
        if suffix == ".gif":
            np.testing.assert_array_equal(frame.pixels[opaque], pixels[opaque])


def test_a_part_before_the_first_picture(tmp_path):
    """Seeking finds nothing there, and the file is opened again."""
    source = streams(tmp_path / "a.mp4", ("libx264", 0, 200, 0.48), ("aac", 0, 20, 0))
    cut = Cut(start=Fraction(2, 5), end=Fraction(4, 5))
    found = list(cut.applied(film_reading.read(source, cut.start, cut.end)))
    assert [frame.start for frame in found] == [Fraction(2 + i, 25) for i in range(8)]


def test_what_encoders_refuse_is_avoided_or_said(tmp_path):
    source = film(av, tmp_path / "a.mkv", frames=pictures(3, 64, 66), times=[0, 1, 2])
    fast = Making(encoding=Encoding(codec="av1"))
    task = Task(source, "a.mkv", tmp_path / "b.mp4")
    assert not films.process([task], Treatment(), Plain(), Job(1), fast).failed
    assert times(av, tmp_path / "b.mp4") == [0, 1, 2]
    narrow = film(av, tmp_path / "c.mkv", frames=pictures(1, 64, 40), times=[0])
    task = Task(narrow, "c.mkv", tmp_path / "d.mp4")
    job = films.process(
        [task], Treatment(), Plain(), Job(1), Making(encoding=Encoding(codec="h265"))
    )
    assert job.failed == ["--codec h265: 40 pixels are too narrow for it; give another"]


@pytest.mark.parametrize(("disposal", "wanted"), [(0, (255, 200)), (1, (0, 0)), (2, (255, 100))])
def test_frames_of_an_animated_png_are_laid_over_each_other(tmp_path, disposal, wanted):
    """A frame covers the second of two pixels, and the next one a half of it."""

    def control(number, width, left, dispose, blend):
        numbers = (number, width, 1, left, 0, 1, 25, dispose, blend)
        return (b"fcTL", struct.pack(">5I2H2B", *numbers))

    def more(number, *rgba):
        return (b"fdAT", struct.pack(">I", number) + zlib.compress(bytes((0, *rgba))))

    before = [(b"acTL", struct.pack(">2I", 3, 0)), control(0, 2, 0, 0, 0)]
    after = [control(1, 1, 1, disposal, 1), more(2, 200, 200, 200, 255)]
    after += [control(3, 1, 1, 0, 1), more(4, 50, 50, 50, 51)]
    file = png([bytes((100, 100, 100, 255)) * 2], 2, 8, 6, before, after)
    (tmp_path / "a.png").write_bytes(file)
    first, second, third = animations.read(tmp_path / "a.png").frames
    assert first.pixels[0, :, 0].tolist() == [100, 100]
    assert second.pixels[0, :, 0].tolist() == [100, 200]
    opacity, grey = wanted  # under the last frame, a fifth of which is seen
    if opacity:
        assert third.alpha is None
        assert third.pixels[0, 1, 0] == round(0.2 * 50 + 0.8 * grey)
    else:
        assert (third.alpha[0, 1], third.pixels[0, 1, 0]) == (51, 50)


def test_an_animated_png_that_is_cut_is_shown_up_to_its_end(tmp_path):
    first, *rest = (Image.fromarray(x) for x in pictures(4))
    first.save(tmp_path / "a.png", save_all=True, append_images=rest, duration=40)
    data = (tmp_path / "a.png").read_bytes()
    for end in (data.rindex(b"fcTL") + 6, data.rindex(b"fcTL") - 4, len(data) - 40):
        (tmp_path / "a.png").write_bytes(data[:end])
        found = animations.read(tmp_path / "a.png")
        assert len(list(found.frames)) == 3
        assert found.damage.startswith("damaged at frame 4 of 4 (")


def test_a_gif_that_ends_within_a_block_is_one_line(tmp_path):
    first, *rest = (Image.fromarray(x) for x in pictures(3))
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=40)
    data = (tmp_path / "a.gif").read_bytes()
    for end in range(13, len(data), 7):
        (tmp_path / "a.gif").write_bytes(data[:end])
        try:
            film = animations.read(tmp_path / "a.gif")
        except InputError:
            continue
        assert len(list(film.frames)) == film.count or film.damage
