"""Runs compared: the table's numbers by hand, a picture with every curve, and errors that say what a run is."""

import json

import numpy as np
import pytest

from jaxpercept import cli, images, runs
from jaxpercept.errors import InputError


def write(folder, losses, **extra):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"task": "style", "steps": 40, "batch_size": 4}))
    speed = {"ms_per_step": 500.0, "input_wait": 0.1}
    lines = [{"step": 10 * (i + 1), "loss": v, **extra, "images_per_s": 2.0 + i, **speed} for i, v in enumerate(losses)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 999, "lo')
    return folder


@pytest.fixture
def two(tmp_path):
    return [str(write(tmp_path / "a", [100.0, 10.0, 1.0], style=0.5)), str(write(tmp_path / "b", [90.0, 20.0, 3.25]))]


def test_the_table(two):
    rows = [[c.strip() for c in row.split("|")[1:-1]] for row in runs.table(list(map(runs.read_run, two))).splitlines()]
    assert rows[0] == ["run", "task", "steps", "images", "loss", "style", "images/s", "ms/step", "input wait"]
    assert rows[2] == [two[0], "style", "30 of 40", "120", "1", "0.5", "3.00", "500.0", "10.0%"]
    assert rows[3][4:6] == ["3.25", "-"]


def test_the_command_prints_and_plots(two, tmp_path, capsys):
    assert cli.main(["runs", *two]) == 0
    assert "30 of 40" in capsys.readouterr().out
    picture = images.load_image(tmp_path / "a" / "curves.png")
    assert picture.shape == (560, 900, 3)
    seen = np.unique((picture * 255).round().astype(int).reshape(-1, 3), axis=0).tolist()
    assert [0, 114, 178] in seen
    assert [213, 94, 0] in seen
    assert cli.main(["runs", two[0], "--term", "style", "--plot", str(tmp_path / "style.png")]) == 0
    assert cli.main(["runs", two[0], "--term", "stile"]) == 2
    assert "did you mean style?" in capsys.readouterr().err


def test_what_is_not_a_run(tmp_path, capsys):
    assert cli.main(["runs", str(tmp_path)]) == 2
    assert "not the directory of a run" in capsys.readouterr().err
    with pytest.raises(InputError, match="has logged no step yet"):
        runs.read_run(str(write(tmp_path / "new", [])))


def test_curves_lie_where_their_values_are():
    def lowest(picture, colour):
        close = np.abs(picture[44:504, 90:800] * 255 - colour).max(-1) < 2
        return np.nonzero(close)[0].max()

    flat = ([0, 1, 2], [1.0, 1.0, 1.0])
    picture = images.draw_curves({"high": ([0, 1, 2], [3.0, 3.0, 3.0]), "low": flat}, title="t")
    assert lowest(picture, (213, 94, 0)) > lowest(picture, (0, 114, 178)) + 300
    assert images.draw_curves({"one": ([1], [float("nan")]), "two": flat}, title="t").shape == (560, 900, 3)
    with pytest.raises(ValueError, match="no finite point"):
        images.draw_curves({"one": ([1], [float("nan")])}, title="t")
