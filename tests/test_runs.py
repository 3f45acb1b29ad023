"""Comparing runs: the table's numbers by hand, a picture with every curve, and clear errors."""

import json
import os
import re

import numpy as np
import pytest

from jaxpercept import cli, images
from jaxpercept.errors import InputError
from jaxpercept.training import directory, run_page, runs


def write(folder, losses, **extra):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"task": "style", "steps": 40, "batch_size": 4}))
    speed = {"ms_per_step": 500.0, "input_wait": 0.1}
    lines = [
        {"step": 10 * (i + 1), "loss": v, **extra, "images_per_s": 2.0 + i, **speed}
        for i, v in enumerate(losses)
    ]
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 999, "lo'
    )
    return folder


@pytest.fixture
def two(tmp_path):
    return [
        str(write(tmp_path / "a", [100.0, 10.0, 1.0], style=0.5)),
        str(write(tmp_path / "b", [90.0, 20.0, 3.25])),
    ]


def test_the_table(two):
    rows = [
        [c.strip() for c in row.split("|")[1:-1]]
        for row in runs.table(list(map(runs.read_run, two))).splitlines()
    ]
    assert rows[0] == [
        "run",
        "task",
        "steps",
        "images",
        "loss",
        "style",
        "images/s",
        "ms/step",
        "input wait",
    ]
    assert rows[2] == [two[0], "style", "30 of 40", "120", "1", "0.5", "3.00", "500.0", "10.0%"]
    assert rows[3][4:6] == ["3.25", "-"]


def test_the_command_prints_and_plots(two, tmp_path, capsys):
    assert cli.main(["runs", *two]) == 0
    assert "30 of 40" in capsys.readouterr().out
    picture = images.load_image(tmp_path / "a" / "curves.png")
    assert picture.shape == (560, 900, 3)
    for color in ((0, 114, 178), (213, 94, 0)):
        assert (np.abs(picture * 255 - color).sum(-1) < 25).sum() > 100
    assert cli.main(["runs", two[0], "--term", "style", "--plot", str(tmp_path / "style.png")]) == 0
    assert cli.main(["runs", two[0], "--term", "stile"]) == 2
    assert "did you mean style?" in capsys.readouterr().err


def test_a_run_as_a_page(two, tmp_path, capsys):
    for step in range(0, 30):
        images.save_image(f"{two[0]}/previews/{step:08d}.jpg", np.zeros((4, 4, 3), np.float32))
    page = tmp_path / "shown" / "index.html"
    assert cli.main(["runs", two[0], "--page", str(page)]) == 0
    text = page.read_text()
    assert re.findall(r'points="(.*?)"', text) == [
        "0.0,6.0 160.0,104.2 320.0,114.0",  # 100, 10, 1
        "0.0,114.0 160.0,114.0 320.0,114.0",  # all 0.5
    ]
    assert "loss: 100 at step 10, 1 at step 30" in text
    pictures = re.findall(r'src="(.*?)"', text)
    assert len(pictures) == 10
    assert pictures[-1] == "../a/previews/00000029.jpg"
    assert all((page.parent / picture).is_file() for picture in pictures)
    assert "&quot;task&quot;: &quot;style&quot;" in text
    capsys.readouterr()
    for given, said in ((two[0], "is a folder"), (f"{two[0]}/config.json", "is the input itself")):
        assert cli.main(["runs", two[0], "--page", given]) == 2
        printed = capsys.readouterr()
        assert f"--page {given} {said}" in printed.err
        assert not printed.out
    assert runs.read_run(two[0]).config["steps"] == 40


def test_a_run_ends_well_without_a_page(two, tmp_path):
    assert run_page.at_end(tmp_path / "a") == str(tmp_path / "a" / "index.html")
    assert run_page.at_end(tmp_path / "none").startswith("none (")
    (tmp_path / "b" / "index.html").mkdir()
    assert "it is a folder" in run_page.at_end(tmp_path / "b")


def test_what_is_not_a_run(tmp_path, capsys):
    assert cli.main(["runs", str(tmp_path)]) == 2
    assert "not the directory of a run" in capsys.readouterr().err
    os.mkfifo(tmp_path / "config.json")  # reading it would wait for ever
    assert directory.cache_of(tmp_path) is None
    assert cli.main(["runs", str(tmp_path)]) == 2
    assert "config.json: is a FIFO (pipe), not a file" in capsys.readouterr().err
    with pytest.raises(InputError, match="has logged no step yet"):
        runs.read_run(str(write(tmp_path / "new", [])))


def test_running_mean():
    assert runs.running_mean([4.0, 2.0, 6.0, 1.0], 2) == [4.0, 3.0, 4.0, 3.5]


def test_lines_and_settings_that_someone_edited(two, tmp_path, capsys):
    with (tmp_path / "a" / "metrics.jsonl").open("a") as log:
        log.write('\n{"step": 35, "loss": 0.5}\n{"step": true, "loss": 1}\n')
    row = runs.table([runs.read_run(two[0])]).splitlines()[2]
    assert "35 of 40" in row
    (tmp_path / "a" / "config.json").write_text("[]")
    assert directory.cache_of(tmp_path / "a") is None
    assert cli.main(["runs", two[0]]) == 2
    assert "its config.json holds no settings" in capsys.readouterr().err
    (tmp_path / "a" / "config.json").write_text("[" * 100_000)
    assert directory.cache_of(tmp_path / "a") is None
    assert cli.main(["runs", two[0]]) == 2
    assert "not the directory of a run" in capsys.readouterr().err


def test_control_characters_in_names_are_escaped(two, tmp_path, capsys):
    folder = (tmp_path / "a").rename(tmp_path / "\x1b[2Ja")
    assert cli.main(["runs", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"\x1b[2Ja" in printed


def test_names_do_not_break_the_table_and_the_lines(two, tmp_path, capsys):
    folder = (tmp_path / "a").rename(tmp_path / "a\nb|c")
    assert cli.main(["runs", str(folder)]) == 0
    *table, curves = capsys.readouterr().out.splitlines()
    assert len(table) == 3
    assert rf"{tmp_path}/a\nb\|c " in table[2]
    assert curves == rf"curves of loss: {tmp_path}/a\nb|c/curves.png"


@pytest.mark.parametrize(
    ("settings", "said"),
    [("{}", "has no task"), ('{"task": "style", "steps": "4"}', "has no steps")],
)
def test_settings_of_something_else(settings, said, two, tmp_path, capsys):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "config.json").write_text(settings)
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    assert cli.main(["runs", str(folder)]) == 2
    assert said in capsys.readouterr().err


def test_a_line_with_a_value_that_is_no_number(two, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": null}\n')
    assert len(runs.whole_lines(path)) == 1


def test_a_page_of_a_run_whose_name_is_not_utf8(two, tmp_path):
    folder = (tmp_path / "a").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    images.save_image(folder / "previews" / "00000010.jpg", np.zeros((4, 4, 3), np.float32))
    page = run_page.write(runs.read_run(str(folder)), tmp_path / "page.html")
    assert 'src="caf%E9/previews/00000010.jpg"' in page.read_text("utf-8", "surrogateescape")
