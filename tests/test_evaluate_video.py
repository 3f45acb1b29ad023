"""`evaluate video` on synthetic films with known flow."""

import itertools
import json
from functools import partial

import numpy as np
import pytest
from helpers import thin
from PIL import Image

from jaxpercept import config, images
from jaxpercept.cli import main
from jaxpercept.errors import InputError
from jaxpercept.evaluation import video, video_losses, video_report, video_sheet
from jaxpercept.inference import films, optical_flow, steadying
from jaxpercept.inference.file_jobs import Job
from jaxpercept.inference.film_frames import Making
from jaxpercept.inference.flow import Task
from jaxpercept.inference.model import Model
from jaxpercept.inference.treatment import Treatment
from jaxpercept.nets import net_file, transform_net
from jaxpercept.runtime import progress

pytest.importorskip("cv2", reason="needs the extra `video`")


def smooth(height=96, width=160, seed=0):
    """Returns a texture that a flow can follow."""
    small = np.random.default_rng(seed).random((height // 6, width // 6, 3), np.float32)
    return images.resize(small, (height, width), method="bicubic")


def moving(step, count=12):
    """Returns frames in which everything moves to the right by `step` pixels."""
    wide = smooth(width=160 + step * count)
    return [wide[:, step * (count - i) :][:, :160] for i in range(count)]


def test_the_flow_of_a_shift_is_found_and_used():
    before, after = moving(3, 2)
    back = optical_flow.flow(after, before)
    assert np.median(back[..., 0]) == pytest.approx(-3, abs=0.1)
    assert np.median(back[..., 1]) == pytest.approx(0, abs=0.1)
    mask = optical_flow.valid(back, optical_flow.flow(before, after))
    assert mask[8:-8, 16:-16].mean() > 0.9
    assert not mask[:, 0].any()  # these came in at the border
    apart = (after - optical_flow.warped(before, back))[mask]
    assert np.sqrt((apart**2).mean()) < 0.02


def test_what_is_hidden_and_what_moves_against_its_ground_is_left_out():
    back = np.zeros((40, 40, 2), np.float32)
    back[:, 20:, 0] = 5
    mask = optical_flow.valid(back, -back)
    assert mask[5:-5, 5:15].all()
    assert not mask[:, 19:21].any()  # the boundary
    assert not optical_flow.valid(back, back)[:, 22:].any()  # the flow does not lead back


def test_a_net_that_commutes_scores_0_and_fresh_noise_its_noise():
    random = np.random.default_rng(0)
    still = [np.full((64, 96, 3), 0.5, np.float32)] * 12
    textured = [smooth(64, 96)] * 12
    nets = {
        "commutes": lambda x: 1 - x,
        "noise": lambda x: x + random.normal(0, 0.05, x.shape).astype(np.float32),
    }
    for frames in (still, textured):
        rows = video.measured(frames, nets)
        for lag in ("lag1", "lag5", "lag10"):
            assert rows["input"][lag] == rows["commutes"][lag] == pytest.approx(0, abs=1e-6)
            assert rows["noise"][lag] == pytest.approx(0.05 * 2**0.5, rel=0.03)
        assert len(rows["noise"]["each"]) == 11


def test_on_a_moving_film_a_net_that_commutes_scores_as_the_film_does():
    rows = video.measured(moving(2), {"commutes": lambda x: 1 - x, "stuck": pattern})
    assert rows["commutes"]["lag1"] == pytest.approx(rows["input"]["lag1"], rel=1e-3)
    assert rows["stuck"]["lag1"] > 0.05 > 5 * rows["input"]["lag1"]


def pattern(x):
    """Adds stripes that stay in place on the screen."""
    columns = np.arange(x.shape[1]) % 4 < 2
    return x + 0.1 * columns[None, :, None].astype(np.float32)


def test_shifts_show_what_does_not_move_along():
    x = smooth()
    assert video.shift_error(lambda x: 1 - x, x, 1) == 0
    assert video.shift_error(pattern, x, 4) == pytest.approx(0, abs=1e-6)  # its period
    assert video.shift_error(pattern, x, 1) == pytest.approx(0.1 * 0.5**0.5, rel=0.05)


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "SAID", 0.0)
    weights = tmp_path / "one.safetensors"
    tiny = thin()
    net_file.save(weights, tiny, *transform_net.init(tiny, seed=0), {"task": "style"})
    first, *rest = (Image.fromarray(images.to_uint8(x)) for x in moving(2, 7))
    first.save(tmp_path / "a.webp", save_all=True, append_images=rest, lossless=True)
    (tmp_path / "bad.gif").write_bytes(b"no")
    scores = tmp_path / "scores.json"
    clips = [str(tmp_path / "a.webp"), str(tmp_path / "bad.gif")]
    line = ["evaluate", "video", *clips, "--style", str(weights), "--size", "80"]
    chart = tmp_path / "chart.png"
    sheet = tmp_path / "sheet.png"
    line += ["--frames", "9", "--sheet", str(sheet)]
    assert main([*line, "--json", str(scores), "--plot", str(chart)]) == 1
    assert images.load_image(chart).shape == (480, 720, 3)
    height, width = images.load_image(sheet).shape[:2]
    assert width == 8 + 9 * (240 + 8)  # three frames
    assert 144 < height < 240  # one row
    said = capsys.readouterr()
    assert "a.webp: 3 of 7 frames\n" in said.err
    assert "| input |" in said.out
    assert "bad.gif" in said.err
    assert "a.webp: 7 frames of the 9 asked for" in said.err
    found = json.loads(scores.read_text())["clips"][clips[0]]
    assert set(found[str(weights)]) == {"lag1", "lag5", "shift1", "shift4", "each"}
    assert found["input"]["lag1"] < found[str(weights)]["lag1"]
    assert main([*line, "--plot", "chart.xyz"]) == 2
    assert main([*line, "--from", "0", "1", "2"]) == 2
    said = capsys.readouterr().err
    assert "error: --from: 3 times for 2 clips; give one, or one for each" in said
    assert main([*line, "--from", "9"]) == 2
    said = capsys.readouterr().err
    assert "a.webp: has fewer than two frames from 9 s on; give an earlier --from\n" in said
    assert main([*line, "--style-image", "a.png", "b.png"]) == 2
    assert "2 paintings for 1 styles; give one for each style" in capsys.readouterr().err
    again = ["--style", str(weights), "--style-image", "a.png", "b.png"]
    assert main([*line, *again]) == 2
    assert f"error: the style {weights} is given twice; give each once" in capsys.readouterr().err


def test_a_cut_leaves_a_gap_and_a_film_of_cuts_nothing_to_draw(monkeypatch):
    frames = moving(2, 4)
    valid = [np.full((96, 160), share) for share in (True, False, True)]
    monkeypatch.setattr(optical_flow, "valid", lambda *flows: valid.pop(0))
    rows = video.measured(frames, {}, lags=(1,))
    before, cut, after = rows["input"]["each"]
    assert cut is None
    assert rows["input"]["lag1"] == pytest.approx(np.sqrt((before**2 + after**2) / 2))
    assert video_report.plot({"lags": [1], "clips": {"a.mp4": rows}}).shape == (480, 720, 3)

    monkeypatch.setattr(optical_flow, "valid", lambda *flows: np.zeros((96, 160), bool))
    gathered = video_sheet.Differences()
    rows = video.measured(frames, {"net": lambda x: x}, watch=partial(gathered.watch, "a.mp4"))
    assert rows["net"]["each"] == [None] * 3
    assert "lag1" not in rows["net"]
    result = {"lags": [1], "clips": {"a.mp4": rows}}
    for draw in (partial(video_report.plot, result), gathered.sheet):
        with pytest.raises(InputError, match="nothing to draw"):
            draw()


def test_a_film_too_large_for_the_memory_is_refused(tmp_path, capsys):
    first, *rest = (Image.fromarray(images.to_uint8(x)) for x in moving(2, 3))
    first.save(film := tmp_path / "a.webp", save_all=True, append_images=rest)
    line = ["evaluate", "video", str(film), "--style", "wave", "--size", "1000000"]
    assert main(line) == 2
    said = capsys.readouterr().err
    assert "a.webp: 1000000x600000 needs at least 1.15e+05 GB of memory, and " in said
    assert "are left; give a smaller --size or fewer --frames" in said


def test_names_do_not_break_the_table():
    rows = {name: {"each": [], "shift1": 0.0} for name in ("input", "a\nb|c.safetensors")}
    table = video_report.markdown({"clips": {"x/a\nb.mp4": rows}})
    assert table.splitlines()[0] == r"a\nb.mp4, RMSE"
    assert table.splitlines()[-1] == r"| a\nb\|c.safetensors | 0.0000 |"


def test_losses_of_the_frames_stand_beside_the_errors():
    def judged(picture, photo):
        return {"content": float(np.abs(picture - photo).mean()), "style": 2.0}

    frames = moving(2, 3)
    rows = video.measured(frames, {"one": lambda x: x / 2}, judges={"one": judged})
    assert rows["one"]["content_each"] == pytest.approx([x.mean() / 2 for x in frames], rel=1e-5)
    assert rows["one"]["content"] == pytest.approx(np.mean(rows["one"]["content_each"]))
    assert rows["one"]["style_each"] == [2.0] * 3
    assert "content" not in rows["input"]
    table = video_report.markdown({"clips": {"a.mp4": rows}})
    assert table.splitlines()[2].endswith("| shift4 | content | style |")
    assert table.splitlines()[4].endswith("| 0.0000 |  |  |")
    assert table.splitlines()[5].endswith("| 2 |")


def test_the_sheet_shows_what_changed_where_the_flow_is_reliable():
    random = np.random.default_rng(0)
    gathered = video_sheet.Differences()
    nets = {
        "still": lambda x: 1 - x,
        "noise": lambda x: x + random.normal(0, 0.05, x.shape).astype(np.float32),
    }
    video.measured(moving(2, 4), nets, watch=partial(gathered.watch, "a.mp4"))
    assert list(gathered.rows) == [("a.mp4", "still"), ("a.mp4", "noise")]
    for row, least, most in zip(gathered.rows.values(), (0, 50), (25, 90), strict=True):
        assert len(row) == 9
        for change in row[2::3]:
            assert least <= change[30:-30, 60:-60].mean() < most
            assert np.abs(change[:, 0] - 128.0).max() < 8  # grey: it came in at the border
    assert gathered.sheet().shape[1] == 8 + 9 * 248


@pytest.mark.slow
def test_the_losses_are_those_of_training(tmp_path):
    x = smooth(48, 80)
    images.save_image(tmp_path / "painting.png", smooth(256, 256, seed=1))  # style_size
    net = thin()
    model = Model("net", net, *transform_net.init(net), {})
    judged = video_losses.judge(model, tmp_path / "painting.png")
    assert judged(x, x)["content"] == 0
    assert judged(1 - x, x)["content"] > 0
    painting = images.load_image(tmp_path / "painting.png")
    assert judged(painting, painting)["style"] < 1e-6 * judged(x, x)["style"]


def test_a_steadied_net_of_a_stride_follows_the_camera():
    """The camera moves by fractions of a stride of 4, to the right and down."""
    wide, noise = smooth(120, 200), np.random.default_rng(0)

    def net(x):  # bright squares of the stride's size, placed by the grid
        cells = x[: len(x) // 4 * 4, : x.shape[1] // 4 * 4].reshape(len(x) // 4, 4, -1, 4, 3)
        return np.repeat(np.repeat(cells.mean((1, 3)), 4, 0), 4, 1)

    steadier, plain, steady = steadying.Steadier(0.8, 4), [], []
    for step in range(10):
        frame = optical_flow.moved(wide, 0.7 * step, 1.3 * step)[16:112, 24:184]
        frame = np.clip(frame + noise.normal(0, 2 / 255, frame.shape).astype(np.float32), 0, 1)
        view = steadier(frame)
        assert view.image.shape == frame.shape
        assert max(map(abs, view.shift)) <= 2
        # the grain goes with what is seen, by whole strides
        moved = np.array((0.7, 1.3)) * step + view.shift
        np.testing.assert_allclose(view.place, moved, atol=0.7)
        assert not np.mod(view.place, 4).any()
        apart = view.grained(0.02) - images.grain(view.image, 0.02, view.place)
        assert not apart.any()
        plain.append((frame, net(frame)))
        steady.append((frame, view.restored(net(view.image))))
        assert steady[-1][1].shape == frame.shape

    def error(pairs):
        played = iter([picture for _, picture in pairs])
        calls = {"net": lambda _: next(played)}
        rows = video.measured([x for x, _ in pairs], calls, (1,), plain={"net": net})
        return rows["net"]["lag1"]

    assert error(steady) < 0.5 * error(plain)


def test_a_steadied_net_sees_less_noise():
    x, random, steadier = smooth(), np.random.default_rng(0), steadying.Steadier(0.8, 4)
    frames = [x + random.normal(0, 2 / 255, x.shape).astype(np.float32) for _ in range(8)]
    seen = [view.restored(view.image) for view in map(steadier, frames)]
    # of fresh noise, a share s leaves (1 - s) / sqrt(1 + s) of the differences between frames
    left = (seen[-1] - seen[-2])[16:-16, 16:-16].std()
    assert left < 0.3 * (frames[-1] - frames[-2]).std()


@pytest.mark.parametrize("scale", [1, 4])  # the flow of large frames is found on smaller ones
def test_the_camera_is_found_under_an_even_sky(scale):
    """The flow over an even surface is arbitrary, so it has no vote."""
    wide, noise = np.full((260, 300, 3), 0.7, np.float32), np.random.default_rng(0)
    wide[160:] = smooth(100, 300)
    frames = []
    for step in range(6):
        frame = optical_flow.moved(wide, -1.3 * step, -0.4 * step)[30:200, 20:260]
        frame = np.clip(frame + noise.normal(0, 2 / 255, frame.shape).astype(np.float32), 0, 1)
        frames.append(images.resize(frame, (170 * scale, 240 * scale), method="bicubic"))
    for before, after in itertools.pairwise(frames):
        _, forward, _ = optical_flow.follow(before, after, 320)
        moved = optical_flow.camera(before, forward, 320)
        np.testing.assert_allclose(moved, np.array((-1.3, -0.4)) * scale, atol=0.15 * scale)


def test_what_has_no_contrast_has_no_motion():
    x, forward = np.full((64, 96, 3), 0.4, np.float32), np.ones((64, 96, 2), np.float32)
    np.testing.assert_array_equal(optical_flow.camera(x, forward, 320), 0)


def test_what_is_not_steadied_is_what_the_net_sees():
    x = smooth()
    view = steadying.Steadier(0, 4)(x)
    assert view.image is x
    assert view.restored(x) is x


def test_only_a_steadied_film_of_our_own_net_has_grain():
    ours = Model("ours", config.NET_PRESETS["resize"], {}, {}, {"training": {}})
    assert steadying.grain(ours, 0.8) == 2 * ours.grain == 0.02
    assert steadying.grain(ours, 0.0) == 0
    assert steadying.grain(Model("imported", ours.config, {}, {}, {}), 0.8) == 0


def test_a_move_by_whole_pixels_changes_no_value():
    x = smooth()
    np.testing.assert_array_equal(optical_flow.moved(x, 3, -2)[:-2, 3:], x[2:, :-3])
    np.testing.assert_array_equal(optical_flow.moved(x, 0, 0), x)
    back = optical_flow.moved(optical_flow.moved(x, 0.4, 1.6), -0.4, -1.6)
    np.testing.assert_allclose(back[8:-8, 8:-8], x[8:-8, 8:-8], atol=0.02)


@pytest.mark.parametrize(
    ("header", "grain"), [({}, None), ({"training": {}}, None), ({"training": {}}, 0.1)]
)  # without grain, with the net's own, and with the user's
def test_what_is_measured_is_what_the_video_command_makes(tmp_path, header, grain):
    made = thin()
    model = Model("net", made, *transform_net.init(made), header)
    photos = [images.to_uint8(x) for x in moving(3, 4)]
    first, *rest = map(Image.fromarray, photos)
    first.save(tmp_path / "a.png", save_all=True, append_images=rest, duration=40)
    how = {"steady": 0.8, "smooth": 0.3}
    task = Task(tmp_path / "a.png", "a.png", tmp_path / "b.png")
    job = films.process([task], Treatment(grain=grain), model, Job(1), Making(**how))
    assert not job.failed
    played = video._played(model, **how, grain=grain)
    for photo, frame in zip(photos, films.open_film(tmp_path / "b.png").frames, strict=True):
        np.testing.assert_allclose(
            images.to_float(frame.pixels), played(images.to_float(photo)), atol=1.1 / 255
        )


def test_the_flow_of_a_large_film_is_found_on_smaller_frames():
    x = images.resize(smooth(120, 200), (360, 600), method="bicubic")
    before, after = x[:, 12:], x[:, :-12]
    back, forward, reliable = optical_flow.follow(before, after, 320)
    assert back.shape == forward.shape == (360, 588, 2)
    assert np.median(back[..., 0]) == pytest.approx(-12, abs=0.3)
    assert np.median(forward[..., 0]) == pytest.approx(12, abs=0.3)
    assert reliable[16:-16, 32:-32].mean() > 0.9
    whole = optical_flow.follow(before, after, 1000)
    np.testing.assert_array_equal(whole[0], optical_flow.flow(after, before))
