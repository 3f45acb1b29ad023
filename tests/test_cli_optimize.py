"""`optimize` as a person types it: results, frames, one-line errors."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import status
from PIL import Image
from test_picture import exif_of_a_phone, saved

from jaxpercept import images
from jaxpercept.cli import optimize_progress
from jaxpercept.errors import InputError
from jaxpercept.images import samples
from jaxpercept.inference import flow
from jaxpercept.losses import objective
from jaxpercept.losses.terms import LossTerm
from jaxpercept.runtime.console import Console
from jaxpercept.synthesis import run
from jaxpercept.synthesis.stage import Progress


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for name, photo in list(samples.sample_photos().items())[:2]:
        images.save_image(root / f"{name}.png", images.resize(photo, (16, 24)))
    images.save_image(root / "tall.png", np.zeros((20, 12, 3), np.float32))
    images.save_image(root / "style.png", samples.drawn_style(size=32))
    return root


@pytest.fixture(autouse=True)
def _inside(pictures, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for file in pictures.iterdir():
        (tmp_path / file.name).symlink_to(file)


SMALL = "--iterations 2 --report-every 1"


def test_a_style_several_images_and_their_frames(tmp_path, capsys):
    line = "optimize style --content chelsea.png coffee.png tall.png --style style.png style.png"
    line += " --style-weights 1 2"
    assert (
        status(
            f"{line} {SMALL} --style-layers relu1_2 --save-every 2 --clip --preserve-color -o out"
        )
        == 0
    )
    found = sorted(
        p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")
    )
    assert [f for f in found if "/" not in f] == [
        f"{n}_style-style.png" for n in ("chelsea", "coffee", "tall")
    ]
    assert [f for f in found if "/" in f] == [
        f"frames/{n}_style-style_00001.jpg" for n in ("chelsea", "coffee", "tall")
    ]
    assert images.load_image("out/tall_style-style.png").shape == (20, 12, 3)
    err = capsys.readouterr().err
    assert (
        "3 images: lbfgs, 2 iterations from content (seed 0), clipped, losses reference (content "
        "1, style 5" in err
    )
    assert "24x16: iteration 2/2" in err
    assert all(f" {name} " in err for name in ("loss", "content", "style", "tv", "s/evaluation"))


def test_invert_and_texture(tmp_path, capsys):
    assert (
        status(
            f"optimize invert --content chelsea.png --layer relu1_1 {SMALL} --save-every 1 -o i.png"
        )
        == 0
    )
    assert sorted(p.name for p in (tmp_path / "i_frames").iterdir()) == [
        "i_00001.jpg",
        "i_00002.jpg",
    ]
    assert (
        "from grey (seed 0), losses reference (content 1), content at relu1_1"
        in capsys.readouterr().err
    )
    line = "optimize texture --style style.png --layers relu1_1 relu1_2 --sizes 16 24"
    line += f" --optimizer adam {SMALL} -o t.png"
    assert status(line) == 0
    assert images.load_image("t.png").shape == (24, 24, 3)
    assert (
        "from noise (seed 0), losses reference (style 5), style at relu1_1+relu1_2"
        in capsys.readouterr().err
    )


def test_a_photo_keeps_what_it_says_and_a_bad_file_costs_only_itself(tmp_path, capsys):
    photo = (255 * samples.sample_photos()["coffee"][:16, :24]).astype(np.uint8)
    opacity = np.linspace(0, 255, 16 * 24).reshape(16, 24, 1).astype(np.uint8)
    (tmp_path / "seen.png").write_bytes(saved(np.dstack([photo, opacity]), "PNG", dpi=(300, 300)))
    (tmp_path / "phone.jpg").write_bytes(saved(photo, "JPEG", exif=exif_of_a_phone()))
    (tmp_path / "broken.png").write_bytes(b"no image")
    line = "optimize style --style style.png --style-layers relu1_1 --content-layers relu1_1"
    line += f" {SMALL} --optimizer adam --sizes 12 --content"
    assert status(f"{line} broken.png none.png seen.png phone.jpg -o out") == 1
    told = capsys.readouterr().err
    assert told.count("broken.png: not an image") == told.count("none.png: no such file") == 1
    made = images.read(tmp_path / "out" / "seen_style.png")
    assert made.about.dpi == pytest.approx((300, 300), abs=0.1)
    small = images.resize(opacity[..., 0] / np.float32(255), (8, 12))
    np.testing.assert_allclose(made.alpha, small, atol=1 / 255)
    with Image.open(tmp_path / "out" / "phone_style.jpg") as written:
        assert written.size == (8, 12)
        assert written.getexif()[0x8298] == "(c) me"
        assert "icc_profile" in written.info
    before = (tmp_path / "out" / "seen_style.png").read_bytes()
    assert status(f"{line} seen.png phone.jpg -o out --skip-existing") == 0
    assert (tmp_path / "out" / "seen_style.png").read_bytes() == before
    assert "2 of 2 images existed already" in capsys.readouterr().err
    assert status(f"{line} phone.jpg -o bare.jpg --strip") == 0
    with Image.open("bare.jpg") as written:
        assert not dict(written.getexif())
    texture = "optimize texture --style seen.png --layers relu1_1"
    assert status(f"{texture} {SMALL} --optimizer adam --sizes 12 -o texture.png") == 0
    assert images.read("texture.png").alpha is None


BAD = {
    "too small": (
        "style --content tall.png --style style.png --style-layers relu5_3",
        "tall.png: 12x20 is too small for relu5_3; the layers that fit: relu1_1",
    ),
    "style too small": (
        "texture --style style.png --style-size 8 --layers relu5_1",
        "style.png: 8x8 is too small",
    ),
    "a style of one colour": (
        "style --content chelsea.png --style style.png tall.png",
        "tall.png: is a single colour, which is no style; give a painting",
    ),
    "a texture of one colour": (
        "texture --style tall.png --layers relu1_1",
        "tall.png: is a single colour, which is no style; give a painting",
    ),
    "unknown layer": ("invert --content tall.png --layer relu33", "relu3_3"),
    "unknown layers": ("texture --style style.png --layers conv1_1", "choose one of: relu1_1"),
    "zero weights": ("invert --content tall.png --weights.content 0", "every loss weight is 0"),
    "no image": ("style --content none.jpg --style style.png", "none.jpg"),
    "no style image": ("style --content tall.png --style none.jpg", "none.jpg"),
    "style weights of an endless sum": (
        "style --content tall.png --style style.png style.png --style-weights 1e308 1e308",
        "--style-weights: the sum of the weights is too large; give smaller weights",
    ),
    "style weights": (
        "style --content tall.png --style style.png --style-weights 1 2",
        "give one number of at least 0 for each of the 1 style image,",
    ),
    "unknown init": ("style --content tall.png --style style.png --init gray", "did you mean grey"),
    "from the answer": ("invert --content tall.png --init content", "already be the answer"),
    "texture's hatch": ("texture --style style.png --weights.hatch 1", "here: style, tv (see"),
    "texture's content": (
        "texture --style style.png --weights.content 1",
        "unknown option --weights.content",
    ),
    "invert's style": ("invert --content tall.png --weights.style 1", "here: content, tv, pixel"),
    "unknown optimizer": ("invert --content tall.png --optimizer sgd", "lbfgs, adam"),
    "no iterations": ("invert --content tall.png --iterations 0", "--iterations 0 is not allowed"),
    "iterations and sizes": (
        "invert --content tall.png --iterations 1 2 --sizes 16 17 18",
        "2 numbers for 3 sizes",
    ),
    "too small for a term": (
        "invert --content tall.png --sizes 16 8 --weights.dark 1",
        "images of 10x16: dark_loss: expected images (N, H, W, 3) of at least 16x16",
    ),
    "frames to standard output": (
        "invert --content tall.png --layer relu1_1 --save-every 1 -o -",
        "-o -: the frames of --save-every need a name; give a file or a folder",
    ),
    "unknown format": ("invert --content tall.png --format exr", "--format 'exr' is not known"),
    "no photo": ("invert --content broken.png", "broken.png: not an image that can be read"),
    "empty": ("invert --content tall.png --out=", "-o is empty; give a value"),
    "not a number": (
        "style --content tall.png --style style.png --style-weights nan",
        "give one number of at least 0",
    ),
    "onto itself": ("invert --content tall.png -o tall.png", "is the input itself"),
    "onto the style": ("style --content tall.png --style style.png -o style.png", "input itself"),
    "several into one": ("invert --content tall.png chelsea.png -o x.png", "names one file"),
    "unknown convention": ("invert --content tall.png --losses lua", "paper, reference"),
    "unknown option": (
        "style --content tall.png --style style.png --iteration 3",
        "did you mean --iterations",
    ),
}


def test_a_folder_of_frames_that_cannot_be_is_found_before_any_work(tmp_path, capsys):
    (tmp_path / "made_frames").write_text("a file")
    line = f"optimize invert --layer relu1_1 {SMALL} --save-every 1 --content tall.png -o made.png"
    assert status(line) == 2
    told = capsys.readouterr().err
    assert "error: -o: the folder of frames made_frames is a file; give a folder" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_one_line_and_status_2(tmp_path, capsys, case):
    line, expected = BAD[case]
    (tmp_path / "broken.png").write_bytes(b"no image")
    before = sorted(tmp_path.rglob("*"))
    assert status(f"optimize {line}") == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert expected in errors[-1]
    assert len(errors) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_loss_that_is_not_finite_is_one_line_and_status_2(capsys):
    line = "optimize invert --layer relu1_1 --weights.content 1e38 --content"
    assert status(f"{line} chelsea.png -o x.png") == 2
    said = "error: chelsea.png: the loss is not finite at iteration 0"
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_loss_that_is_not_finite_costs_only_its_own_photo(tmp_path, capsys, monkeypatch):
    of = objective.make_terms
    root = LossTerm("root", lambda inputs: jnp.sqrt(0.9 - inputs.target).sum((1, 2, 3)))
    monkeypatch.setattr(objective, "make_terms", lambda made: (*of(made), root))
    images.save_image(tmp_path / "white.png", np.ones((24, 16, 3)))
    images.save_image(tmp_path / "dark.png", np.zeros((24, 16, 3)))
    line = f"optimize invert --layer relu1_1 --optimizer adam {SMALL} --content"
    assert status(f"{line} white.png dark.png tall.png -o out") == 1
    told = capsys.readouterr().err
    assert told.count("error: white.png: the loss is not finite at iteration 0") == 1
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"dark_relu1_1.png", "tall_relu1_1.png"}


def test_a_photo_that_does_not_fit_in_memory_costs_only_itself(tmp_path, capsys, monkeypatch):
    of = images.read

    def read(source, **how):
        if how["name"] == "chelsea.png":
            raise MemoryError
        return of(source, **how)

    monkeypatch.setattr(images, "read", read)
    line = f"optimize invert --layer relu1_1 {SMALL} --content chelsea.png tall.png -o out"
    assert status(line) == 1
    assert "error: chelsea.png: too large for memory" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tall_relu1_1.png"]


FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\n9 bytes")


def test_an_image_that_fills_the_accelerator_costs_only_itself(tmp_path, capsys, monkeypatch):
    """Those of its size are tried again, each alone."""
    of, tried = run.synthesize, []

    def synthesize(made, contents, *given, **how):
        tried.append(len(contents))
        if any(content.min() == 1 for content in contents):
            raise FULL
        return of(made, contents, *given, **how)

    monkeypatch.setattr(run, "synthesize", synthesize)
    images.save_image(tmp_path / "white.png", np.ones((20, 12, 3)))
    line = f"optimize invert --layer relu1_1 {SMALL} --content white.png tall.png chelsea.png"
    assert status(f"{line} -o out") == 1
    assert tried == [2, 1, 1, 1]
    told = capsys.readouterr().err
    fixes = "shrink it or give smaller --sizes"
    assert told.count(f"error: white.png: too large for memory; {fixes}\n") == 1
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"tall_relu1_1.png", "chelsea_relu1_1.png"}


def test_a_frame_that_cannot_be_written_costs_only_its_own_photo(tmp_path, capsys):
    """Nothing more is written of that photo, and the line that says why comes once."""
    (tmp_path / "out" / "frames" / "chelsea_relu1_1_00001.jpg").mkdir(parents=True)
    line = f"optimize invert --layer relu1_1 {SMALL} --save-every 1 -o out --content"
    assert status(f"{line} chelsea.png coffee.png tall.png") == 1
    told = capsys.readouterr().err
    assert told.count("error: out/frames/chelsea_relu1_1_00001.jpg: cannot be written (Is a ") == 1
    assert "3 images were not begun" not in told
    made = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {name for name in made if name.endswith("png")} == {
        "coffee_relu1_1.png",
        "tall_relu1_1.png",
    }
    assert len(made) == 2 + 4
    assert status(f"{line} chelsea.png") == 2
    told = capsys.readouterr().err
    assert "00001.jpg: cannot be written" in told.splitlines()[-1]
    assert "iteration 1/2" not in told
    assert "stopped after" not in told


def test_frames_show_what_the_result_shows(tmp_path):
    """Transparency is laid on white, and the photo's colours are kept."""
    photo = np.zeros((16, 24, 4), np.uint8)
    photo[:, 12:] = 90, 90, 90, 255
    (tmp_path / "half.png").write_bytes(saved(photo, "PNG"))
    line = f"optimize style --content half.png --style style.png --style-layers relu1_1 {SMALL}"
    assert status(f"{line} --preserve-color --save-every 2 -o made.png") == 0
    frame, made = images.load_image("made_frames/made_00001.jpg"), images.load_image("made.png")
    assert frame[:, :8].min() > 0.98
    assert np.abs(frame - made).mean() < 0.02


def test_a_stopped_optimisation_says_what_is_unfinished_and_what_failed(capsys, monkeypatch):
    of = optimize_progress.reporter

    def stopping(frames, stopped, console):
        report = of(frames, stopped, console)
        return lambda shown: stopped.append(15) or report(shown)

    monkeypatch.setattr(optimize_progress, "reporter", stopping)
    line = "optimize invert --layer relu1_1 --report-every 1 --content chelsea.png"
    assert status(f"{line} tall.png --iterations 2 -o out") == 143
    told = capsys.readouterr().err
    assert "stopped after 1 of 2 iterations; --skip-existing leaves unfinished images as" in told
    assert "1 of 2 images were not begun" in told
    assert status(f"{line} --iterations 1 -o whole.png") == 143
    told = capsys.readouterr().err
    assert "lbfgs, 1 iteration from" in told
    assert "stopped after" not in told
    fails = InputError("x.png: no space left on device")
    monkeypatch.setattr(flow, "save", mock.Mock(side_effect=fails))
    assert status(f"{line} --iterations 2 -o x.png") == 143
    assert f"error: {fails}\n" in capsys.readouterr().err


def test_the_last_line_of_a_stopped_optimisation_ends(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    one = np.ones(1)
    shown = Progress(8, 8, 10, 100, one, {"loss": one}, 1.0, np.zeros((1, 8, 8, 3)), False)
    for stopped in ([], [15]):
        with Console() as console:
            assert optimize_progress.reporter([], stopped, console)(shown) == bool(stopped)
            assert capsys.readouterr().err.endswith(" left")
        assert capsys.readouterr().err == "\n"


def test_it_says_that_it_compiles(capsys):
    assert (
        status(f"optimize invert --content chelsea.png --layer relu1_1 {SMALL} -o compiled.png")
        == 0
    )
    assert capsys.readouterr().err.splitlines()[1] == "compiling the iteration"
