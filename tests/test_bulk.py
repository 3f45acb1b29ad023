"""Bulk jobs without a cluster: names, the manifest, what is still to do, who is to blame for a
death, and the callable that every engine calls. One test starts Ray, where it is installed; the
clusters are in test_bulk_cluster.py.
"""

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from film_files import film, times
from helpers import noise, save_noise, save_style, status
from PIL import Image

from jaxpercept import config, files, images
from jaxpercept.bulk import (
    cluster,
    engine,
    films,
    inputs,
    job,
    manifest,
    places,
    recipe,
    report,
)
from jaxpercept.bulk.datasets import Columns
from jaxpercept.bulk.ledger import Deaths, Ledger, State
from jaxpercept.bulk.manifest import Item, Manifest
from jaxpercept.bulk.places import Entry
from jaxpercept.bulk.work import Worker
from jaxpercept.config.bulk import BulkConfig
from jaxpercept.errors import InputError
from jaxpercept.inference import segments
from jaxpercept.inference.batches import Batches
from jaxpercept.inference.treatment import Treatment
from jaxpercept.nets import net_file, transform_net
from jaxpercept.training.learn import Learner

HOW = Treatment(stroke=None)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """The file of a tiny style net."""
    return str(save_style(tmp_path_factory.mktemp("net") / "tiny.safetensors"))


def test_the_wait_for_the_first_output_is_told(monkeypatch):
    monkeypatch.setattr(report, "EVERY", 0.0)
    said = []
    report.Report(10, said.append).show(State(), 1)
    assert said == ["[0/10] 0.0% · 1 worker starting"]


@pytest.fixture
def photos(tmp_path):
    """Six photos of one size, in a folder and its subfolder."""
    names = [*(f"{i}.png" for i in range(5)), "sub/5.jpg"]
    return save_noise(tmp_path / "in", names, 32, 24)


class Here:
    """A round in this process: tasks one after another, each through a pickled worker. A task with
    an input that is in `deadly` kills its process, a net that is `missing` stops the job."""

    deadly: tuple[str, ...] = ()
    actors = 1

    def __init__(self, library, config, recipes, out, tasks):
        self.state, self.silence, self.error = State(), 0.0, None
        for number, task in enumerate(tasks):
            begun = [item.output for item in task]
            if any(name in output for name in self.deadly for output in begun):
                self.state.begun["node", number] = begun
                continue
            worker = pickle.loads(pickle.dumps(Worker(recipes, out)))
            failed = sum("error" in record for record in worker.work(task))
            self.state.done += len(task) - failed
            self.state.failed += failed

    def wait(self, seconds):
        return True


@pytest.fixture
def here(monkeypatch):
    """The command without Ray."""
    monkeypatch.setattr(cluster, "connected", nullcontext)
    monkeypatch.setattr(cluster, "alive", lambda library: {"node": {}})
    monkeypatch.setattr(engine, "Round", Here)
    monkeypatch.setattr(Here, "deadly", ())
    return Here


def bulk(*more):
    return status("bulk", "stylize", *more, "--stroke", "1", "--batch-size", "2")


def summary(out):
    return json.loads((out / "_bulk" / "summary.json").read_text())


def test_the_same_files_as_stylize(here, net, photos, tmp_path):
    assert bulk(photos, "-o", tmp_path / "bulk", "--style", net) == 0
    assert status("stylize", photos, "-o", tmp_path / "one", "--style", net, "--stroke", "1") == 0
    made = images.list_images(tmp_path / "one")
    assert len(made) == 6
    for path in made:
        same = tmp_path / "bulk" / path.relative_to(tmp_path / "one")
        assert np.abs(images.load_image(same) - images.load_image(path)).max() < 1.5 / 255
    assert images.list_images(tmp_path / "bulk") == [
        tmp_path / "bulk" / path.relative_to(tmp_path / "one") for path in made
    ]


def test_what_reading_left_out_is_recorded(here, net, tmp_path):
    frames = [Image.fromarray(images.to_uint8(noise(i, 24, 32))) for i in range(2)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert bulk(tmp_path / "two.gif", "-o", tmp_path / "out", "--style", net) == 0
    (part,) = (tmp_path / "out" / "_bulk" / "manifest").iterdir()
    (note,) = json.loads(part.read_text())["notes"]
    assert note.startswith("only its first frame is read")


def test_a_second_run_does_what_has_changed(here, net, photos, tmp_path, capsys):
    out = tmp_path / "out"

    def done(*more):
        assert bulk(photos, "-o", out, "--style", net, *more) == 0
        return summary(out)["done"]

    assert done() == 6
    assert done() == 0
    os.utime(photos / "0.png", (1, 1))  # touched: read, and found the same
    before = (out / "0_tiny.png").stat().st_mtime_ns
    assert done() == 1
    assert (out / "0_tiny.png").stat().st_mtime_ns == before
    assert done() == 0
    images.save_image(photos / "1.png", noise(99, 32, 24))
    (out / "2_tiny.png").unlink()
    (out / "3_tiny.png").write_bytes(b"cut short")
    assert done() == 3
    assert done("--strength", "0.5") == 6
    assert done("--strength", "0.5", "--max-pixels", "100000") == 0  # changes no picture
    assert len(list((out / "_bulk" / "manifest").iterdir())) == 1
    assert "6 are there, 0 to do" in capsys.readouterr().err


def test_outputs_without_a_record_are_done_again(here, net, photos, tmp_path):
    """What a kill between the outputs and their record leaves."""
    out = tmp_path / "out"
    assert bulk(photos, "-o", out, "--style", net) == 0
    for part in (out / "_bulk" / "manifest").iterdir():
        part.unlink()
    assert bulk(photos, "-o", out, "--style", net, "--skip-existing") == 0
    assert summary(out)["done"] == 0
    assert bulk(photos, "-o", out, "--style", net) == 0
    assert summary(out)["done"] == 6


def test_films_are_tasks_of_their_own(here, net, photos, tmp_path, monkeypatch):
    av = pytest.importorskip("av", reason="needs the extra `video`")
    monkeypatch.setattr(segments, "LENGTH", 4)
    film(av, photos / "a.mp4", sound="aac")
    film(av, photos / "sub" / "b.ts")
    (photos / "bad.mkv").write_bytes(b"no film")
    out, tasks = tmp_path / "out", []
    given = job._tasks

    def spied(*args):
        tasks[:] = given(*args)
        return tasks

    monkeypatch.setattr(job, "_tasks", spied)
    assert bulk(photos, "-o", out, "--style", net, "--task-size", "9") == 1
    assert sorted(len(task) for task in tasks) == [1, 1, 1, 6]
    (line,) = (out / "_bulk" / "errors.jsonl").read_text().splitlines()
    assert "bad.mkv: cannot be read as a film" in json.loads(line)["error"]
    alone = tmp_path / "alone.mp4"
    assert status("video", photos / "a.mp4", "--style", net, "-o", alone) == 0
    assert (out / "a_tiny.mp4").read_bytes() == alone.read_bytes()
    assert len(times(av, out / "sub" / "b.ts_tiny.mp4")) == 6  # a suffix that we do not write
    (photos / "bad.mkv").unlink()
    os.utime(photos / "a.mp4", (1, 1))  # touched: read, and found the same
    assert bulk(photos, "-o", out, "--style", net) == 0
    assert summary(out)["done"] == 1
    assert bulk(photos, "-o", out, "--style", net) == 0
    assert summary(out)["done"] == 0
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]


def test_what_fails_is_listed_and_tried_again(here, net, photos, tmp_path, capsys):
    (photos / "broken.png").write_bytes(b"no")
    # the header of a GIF of 10,000 by 10,000 pixels, and nothing of them
    gif = b"GIF89a" + (10_000).to_bytes(2, "little") * 2 + b"\xf0\x00\x00" + b"\x00" * 6
    (photos / "huge.gif").write_bytes(gif + b"," + b"\x00" * 4 + gif[6:10] + b"\x00\x02\x00;")
    out = tmp_path / "out"
    for _ in range(2):
        assert bulk(photos, "-o", out, "--style", net, "--max-pixels", "1000000") == 1
        errors = (out / "_bulk" / "errors.jsonl").read_text().splitlines()
        assert len(errors) == 2
        assert any("broken.png: not an image" in json.loads(line)["error"] for line in errors)
        assert any("more than the limit" in json.loads(line)["error"] for line in errors)
    assert "2 of 8 failed; see" in capsys.readouterr().err


def test_an_input_that_kills_its_process_twice_is_given_up(here, net, photos, tmp_path):
    here.deadly = ("3_tiny", "4_tiny")
    out = tmp_path / "out"
    assert bulk(photos, "-o", out, "--style", net, "--task-size", "6") == 1
    errors = (out / "_bulk" / "errors.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["output"] for line in errors) == ["3_tiny.png", "4_tiny.png"]
    assert "died twice" in errors[0]
    assert summary(out)["rounds"] == 2
    here.deadly = ()
    assert bulk(photos, "-o", out, "--style", net) == 0
    assert summary(out)["done"] == 2


def test_a_full_disk_stops_the_job(here, net, photos, tmp_path, monkeypatch, capsys):
    def full(path, data):
        raise InputError(f"{path}: cannot be written (No space left on device); make room")

    monkeypatch.setattr(files, "write", full)
    assert bulk(photos, "-o", tmp_path / "out", "--style", net) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.*"))


@pytest.mark.parametrize("engine_rows", [list, lambda names: {"input": np.array(names)}])
def test_the_callable_of_other_engines(engine_rows, net, photos, tmp_path):
    """Beam calls it with a list, Spark with a data frame; both pickle it."""
    how = recipe.stylizing(net, HOW)
    worker = Worker([how], str(tmp_path / "out"))
    names = [str(photos / "0.png"), str(photos / "none.png")]
    made = pickle.loads(pickle.dumps(worker))(engine_rows(names))
    below = photos.relative_to("/").as_posix()
    assert made["input"] == names
    assert made["output"] == [f"{below}/0_tiny.png", ""]
    assert made["error"][0] == ""
    assert "none.png: no such file" in made["error"][1]
    assert (tmp_path / "out" / made["output"][0]).is_file()
    worker(names)
    assert len(pickle.dumps(worker)) < 2 * len(how.weights)  # without its nets


def test_outputs_in_an_object_store(net, photos, monkeypatch):
    """They have no path in this machine's file system. The cluster tests write to a real store."""
    put = {}
    monkeypatch.setattr(places, "write", put.__setitem__)
    monkeypatch.setattr(places, "about", lambda names: pytest.fail("asked for what was put"))
    (record,) = Worker([recipe.stylizing(net, HOW)], "s3://bucket/out").work(
        [Item(inputs.Entry(str(photos / "0.png"), 1, 1), 0, "0_tiny.png")]
    )
    assert "error" not in record
    assert record["bytes"] == len(put.pop("s3://bucket/out/0_tiny.png"))
    (part,) = put
    assert part.startswith("s3://bucket/out/_bulk/manifest/")


def test_the_example_for_other_engines(root, net, photos, tmp_path):
    """docs/scaling.md's, with a table and a pipeline that do what Spark and Beam do."""
    pd = pytest.importorskip("pandas", reason="needs pandas, as Spark does")
    text = (root / "docs/scaling.md").read_text().split("runs this -->\n```python\n")[1]
    code = text.split("```")[0].replace('"wave"', repr(net))
    code = code.replace("s3://mine/styled", f"{tmp_path}/out")
    seen = []

    class Table:
        def mapInPandas(self, call, schema):
            frame = pd.DataFrame({"path": [str(photos / "0.png"), str(photos / "none.png")]})
            (made,) = call(iter([frame]))
            seen.append((made, [word.split()[0] for word in schema.split(",")]))

    class Beam:
        BatchElements = staticmethod(lambda max_batch_size: [[str(photos / "1.png")]])

        def Map(self, call):
            return pickle.loads(pickle.dumps(call))

    class Paths(list):
        def __or__(self, step):
            return Paths(map(step, self)) if callable(step) else Paths(step)

    exec(code, {"table": Table(), "paths": Paths(), "beam": Beam()})
    ((made, columns),) = seen
    assert list(made) == columns
    assert [bool(error) for error in made["error"]] == [False, True]
    written = images.list_images(tmp_path / "out")
    assert [path.name for path in written] == ["0_tiny.png", "1_tiny.png"]


def test_the_step_of_a_pipeline(net, photos):
    """Arrays, bytes and names in one column; a row that fails does not fail the others."""
    step = Columns(recipe.stylizing(net, HOW), "image", "made")
    photo = images.load_uint8(photos / "0.png")
    sources = [photo, (photos / "0.png").read_bytes(), str(photos / "0.png"), b"no", photo[..., 0]]
    sources += [photo.astype(np.int64), np.full((32, 24, 3), np.nan, np.float32)]
    column = np.empty(7, object)
    column[:] = sources
    made = step({"image": column, "id": np.arange(7)})
    assert [x.shape for x in made["made"]] == [(32, 24, 3)] * 3 + [(0, 0, 3)] * 4
    assert (made["made"][0] == made["made"][1]).all()
    assert (made["made"][0] == made["made"][2]).all()
    assert list(made["id"]) == list(range(7))
    assert list(made["error"][:3]) == [""] * 3
    assert "not an image" in made["error"][3]
    assert "give images (height, width, 3)" in made["error"][4]
    assert "an array of int64; give uint8" in made["error"][5]
    assert "not finite" in made["error"][6]
    with pytest.raises(InputError, match="no column 'image'; the columns are id"):
        step({"id": np.arange(5)})


def test_a_recipe_carries_its_net(net, tmp_path):
    """To machines that do not have the file; and knows it again."""
    for name, label in (("run/model", "run-model"), ("mine", "mine")):
        copy = tmp_path / f"{name}.safetensors"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(Path(net).read_bytes())
        made = recipe.stylizing(str(copy), HOW)
        copy.unlink()
        assert pickle.loads(pickle.dumps(made)).load().name == made.label == label
    other = dataclasses.replace(made, digest="0" * 32)
    with pytest.raises(InputError, match="the same version of jaxpercept on every machine"):
        other.load()
    wider = dataclasses.replace(made, how=Treatment(stroke=None, max_pixels=5, tile=64))
    assert wider.settings == made.settings
    assert dataclasses.replace(made, suffix=".png").settings != made.settings
    assert dataclasses.replace(made, how=Treatment()).settings != made.settings


def test_a_recipe_carries_the_net_that_a_learned_style_needs(tmp_path):
    tiny = dataclasses.replace(config.NET_PRESETS["resize"].scaled(0.1), blocks=1, styles=2)
    base, row = tmp_path / "base.safetensors", tmp_path / "row.safetensors"
    styles = [{"name": name, "file": f"{name}.png", "sha256": ""} for name in "ab"]
    net_file.save(base, tiny, *transform_net.init(tiny), {"styles": styles})
    learner = Learner(str(base))
    learner.save(row, styles[0], learner._start, 1)
    made = recipe.stylizing(str(row), HOW)
    base.unlink()
    assert made.load().name == "row"


def test_recipes_of_super_resolution():
    made = recipe.upscaling_by("x4-pixel", Treatment(factor=3.0, keep_grey=True))
    assert (made.label, made.scale, made.weights) == ("x4-pixel-by-3", 4, None)
    assert made.load().config.scale == 4
    sharp = recipe.upscaling_by(None, Treatment(factor=4.0), sharpness=0.5)
    assert sharp.label == "x4-sharpness-0.5"
    assert pickle.loads(pickle.dumps(sharp)).load().name == "x4-sharpness-0.5"


def test_what_a_list_names(tmp_path):
    (tmp_path / "names.txt").write_text("# mine\n/data/a/x.png\n\ns3://b/c/y.jpg\n../z.gif\n")
    missing, left = [], Counter()
    found = inputs.find([f"@{tmp_path}/names.txt"], "out", missing, left)
    assert [one.below.as_posix() for one in found] == ["data/a/x.png", "b/c/y.jpg", "z.gif"]
    assert [e.name for e in found.values()] == ["/data/a/x.png", "s3://b/c/y.jpg", "../z.gif"]
    made = [recipe.Recipe(net="", how=HOW, label="wave")]
    outputs = [item.output for item in job.items(found, made, "s3://o/p?scheme=http", print)]
    assert outputs == ["data/a/x_wave.png", "b/c/y_wave.jpg", "z.gif_wave.png"]
    (tmp_path / "names.txt").write_bytes(b" a.png\r\nb.png \n \t\n\n # c.png\n#d.png\n")
    found = inputs.find([f"@{tmp_path}/names.txt"], "out", missing, left)
    assert [e.name for e in found.values()] == [" a.png", "b.png ", " # c.png"]
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfa\xff.png\n")
    (found,) = inputs.find([f"@{tmp_path}/names.txt"], "out", missing, left).values()
    assert found.name == os.fsdecode(b"a\xff.png")
    (tmp_path / "names.txt").write_bytes(b"\x89PNG\0")
    with pytest.raises(InputError, match=r"names\.txt: is not a text file"):
        inputs.find([f"@{tmp_path}/names.txt"], "out", missing, left)


def test_one_file_by_two_paths_is_done_once(photos, tmp_path):
    (tmp_path / "link.png").symlink_to(photos / "1.png")
    given = [str(photos), f"{photos}/../in/0.png", str(tmp_path / "link.png")]
    assert len(inputs.find(given, "out", [], Counter())) == 6


def test_columns_of_names(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "table.parquet"
    parquet.write_table(pa.table({"path": ["/a/x.png", None], "n": [1, 2]}), file)
    found = inputs.find([f"{file}:path"], "out", [], Counter())
    assert [one.below.as_posix() for one in found] == ["a/x.png"]
    for column, said in (("none", "no column 'none'; it has path, n"), ("n", "column of names")):
        with pytest.raises(InputError, match=said):
            inputs.find([f"{file}:{column}"], "out", [], Counter())


@pytest.mark.parametrize(
    ("below", "pattern", "fits"),
    [
        ("a.png", "*.png", True),
        ("sub/a.png", "*.png", False),
        ("sub/a.png", "*/a.*", True),
        ("x/y/a.png", "**/*.png", True),
        ("a.png", "**/*.png", True),
        ("x/y/a.png", "x/**", True),
    ],
)
def test_patterns_of_object_names(below, pattern, fits):
    assert inputs._matches(below.split("/"), pattern.split("/")) is fits


@pytest.mark.parametrize(
    ("folder", "name"),
    [("out", "out/a/b.png"), ("s3://b/o/?scheme=http", "s3://b/o/a/b.png?scheme=http")],
)
def test_names_below_a_folder(folder, name):
    assert places.join(folder, "a/b.png") == name
    assert places.plain("file:///a%20b/c") == "/a b/c"


def test_the_plan_of_names_that_nobody_has_looked_at():
    """Of a list of objects, only reading tells what has changed."""
    item = Item(Entry("s3://b/x.png"), 0, "b/x_wave.png")
    known = {"input": item.input.name, "bytes": 7, "settings": "s", "sha256": "abc", "size": 5}
    (again,) = manifest.plan([item], {item.output: known}, {item.output: 7}, ["s"])
    assert again.known == "abc"
    (new,) = manifest.plan([item], {item.output: known}, {item.output: 6}, ["s"])
    assert new.known == ""


def test_a_task_is_a_text(tmp_path):
    """Whatever its names are."""
    task = [Item(Entry("a\udcff/é.png", 3, 4), 1, "é_wave.png", "abc"), Item(Entry("b"), 0, "c")]
    assert manifest.packed(task).isascii()
    assert manifest.unpacked(manifest.packed(task)) == task


def test_names_with_ends_of_lines_and_question_marks(here, net, tmp_path):
    """Lines of the manifest and of lists end with \\n alone, and only URIs have a query."""
    names = ["u\u2028x.png", "n\x85x.png", "q?x.png"]
    save_noise(tmp_path / "in", names, 24, 24)
    for count in (3, 0):
        assert bulk(tmp_path / "in", "-o", tmp_path / "o?x", "--style", net) == 0
        assert summary(tmp_path / "o?x")["done"] == count
    listed = tmp_path / "names.txt"
    listed.write_text("".join(f"{tmp_path}/in/{name}\r\n" for name in names))
    assert len(inputs.find([f"@{listed}"], "out", [], Counter())) == 3
    assert films.is_film("a?b.mp4")
    assert films.is_film("s3://b/a.mp4?scheme=http")


def test_the_manifest_keeps_the_newest_record(tmp_path):
    for number, name in enumerate(["b", "a"]):
        record = {"output": "x.png", "time": number, "bytes": number}
        places.write(manifest.part_name(str(tmp_path), name), manifest.lines([record]))
    kept = Manifest(str(tmp_path))
    assert len(kept.refresh()) == 2
    assert kept.refresh() == []
    assert kept.records["x.png"]["bytes"] == 1
    kept.compact("all")
    again = Manifest(str(tmp_path))
    assert again.refresh() == [{"output": "x.png", "time": 1, "bytes": 1}]
    for wrong in (b'{"output": "x', b"[1]", b"{}", b"[" * 100_000):
        places.write(manifest.part_name(str(tmp_path), "cut"), wrong)
        with pytest.raises(InputError, match=r"cut\.jsonl: is not part of a manifest"):
            Manifest(str(tmp_path)).refresh()


def test_another_job_may_make_one_part_of_several(tmp_path, monkeypatch):
    """It does so between this job's listing and its reading, and before this job removes them."""
    for name in ("a", "b"):
        record = {"output": f"{name}.png", "time": 1}
        places.write(manifest.part_name(str(tmp_path), name), manifest.lines([record]))
    other, read = Manifest(str(tmp_path)), places.read

    def reading(name, what):
        monkeypatch.setattr(places, "read", read)
        other.refresh()
        other.compact("all")
        return read(name, what)

    monkeypatch.setattr(places, "read", reading)
    kept = Manifest(str(tmp_path))
    kept.refresh()
    assert sorted(kept.records) == ["a.png", "b.png"]
    kept.compact("ours")
    assert [one.name for one in (tmp_path / "_bulk/manifest").iterdir()] == ["ours.jsonl"]


def test_links_in_the_output_folder(tmp_path):
    """Two that lead back, in one folder, would be followed for ever. An output counts by the name
    that it was asked for, whichever link it is behind."""
    outside, out = tmp_path / "outside", tmp_path / "out"
    for folder in (outside, out / "sub"):
        folder.mkdir(parents=True)
        (folder / "x.png").write_bytes(b"x")
        (folder / "back").symlink_to(out)
        (folder / "here").symlink_to(folder)
        (folder / "itself").symlink_to("itself")
    (out / "link").symlink_to(outside)
    found = [entry.name for entry in places.listing(str(out)) if entry.size >= 0]
    assert sorted(found) == [f"{out}/link/x.png", f"{out}/sub/x.png"]
    (outside / ".jaxpercept-1-0123abcd.tmp").write_bytes(b"cut")
    places.remove_stale(str(out))
    assert not list(outside.glob(".jaxpercept*"))
    (out / "other").symlink_to("sub")
    names = ["link/x.png", "sub/x.png", "other/x.png"]
    assert places.sizes(f"{out}//", [*names, "sub/none.png"]) == dict.fromkeys(names, 1)


def test_what_does_not_fill_a_batch_is_done_alone():
    """Else each task would have programs of other lengths compiled."""
    batches = Batches(4, alone=True)
    ready = [batch for i in range(6) for batch in batches.add(i, noise(i, 8, 8))]
    assert [(batch.keys, batch.length) for batch in ready] == [([0, 1, 2, 3], 4)]
    assert [(batch.keys, batch.length) for batch in batches.rest()] == [([4], 1), ([5], 1)]


def test_who_is_to_blame():
    deaths = Deaths()
    ledger = Ledger()
    ledger.begin(("a", 1), ["x", "y"])
    ledger.begin(("b", 2), ["z"])
    ledger.end(("b", 2), 1, 0, {"net": 2.0})
    state, _ = ledger.state()
    deaths.note(state.begun, {"a", "b"})
    assert [deaths.suspect(name) for name in "xyz"] == [True, True, False]
    assert not deaths.deadly("x")
    deaths.note({("a", 5): ["x"]}, {"a"})
    assert deaths.deadly("x")
    for _ in range(4):  # nodes die of other things
        assert not deaths.deadly("w")
        deaths.note({("gone", 1): ["w"]}, {"a"})
    assert deaths.deadly("w")
    assert ledger.claim("x")
    assert not ledger.claim("x")
    assert state.done == 1
    assert state.seconds == {"net": 2.0}


@pytest.mark.parametrize(
    ("nodes", "options", "actors"),
    [
        ([{"CPU": 2}], {}, (1, 2, 0)),
        ([{"CPU": 1}, {"CPU": 1}], {}, (2, 1, 0)),
        ([{"CPU": 64}], {}, (16, 4, 0)),
        ([{"CPU": 2}], {"cpus_per_actor": 1}, (2, 1, 0)),
        ([{"CPU": 2}], {"actors": 5}, (5, 2, 0)),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 16}], {}, (2, 4, 1)),
        ([{"CPU": 8, "GPU": 1}], {"gpus_per_actor": 0.25}, (4, 2, 0.25)),
        ([{"CPU": 8, "GPU": 1}], {"gpus_per_actor": 0}, (2, 4, 0)),
    ],
)
def test_how_many_actors_there_is_room_for(nodes, options, actors):
    assert cluster.pool(nodes, BulkConfig(**options)) == actors


@pytest.mark.parametrize(
    ("nodes", "actors"),
    [
        ([{"CPU": 1}], (1, 0, 0)),
        ([{"CPU": 2}], (1, 1, 0)),
        ([{"CPU": 4}, {"CPU": 4}], (1, 4, 0)),
        ([{"CPU": 16, "GPU": 2}], (2, 4, 1)),
    ],
)
def test_a_pipeline_of_others_keeps_a_cpu(nodes, actors):
    """Where reading waits for a CPU that our actors hold, Ray Data hangs without a word."""
    assert cluster.pool(nodes, BulkConfig(), spare=True) == actors


def test_what_there_is_no_room_for():
    with pytest.raises(InputError, match="no node has a GPU"):
        cluster.pool([{"CPU": 4}], BulkConfig(gpus_per_actor=1))
    with pytest.raises(InputError, match=r"no node has 8 CPUs .* the largest has 4 CPUs"):
        cluster.pool([{"CPU": 4}], BulkConfig(cpus_per_actor=8))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bulk stylize x.png -o y.png", "-o y.png names one file"),
        ("bulk upscale x.png --width 100", "--width without --model"),
        ("bulk stylize - -o y", "bulk reads no standard input"),
        ("bulk stylize none.png -o y", "none.png: no such file"),
        ("bulk stylize x.png --task-size 0", "--task-size 0 is not allowed; give at least 1"),
    ],
)
def test_mistakes(line, said, capsys):
    assert status(line) == 2
    assert said in capsys.readouterr().err


SILENT = """
from jaxpercept.bulk import cluster
from jaxpercept.config.bulk import BulkConfig
cluster.START = 1.0
with cluster.connected(BulkConfig(address="10.0.0.1:6379")):
    print("connected")
"""


def test_a_cluster_that_never_answers_is_given_up(tmp_path, root):
    """By a module `ray` of our own that hangs, because Ray itself cannot be made to."""
    fake = tmp_path / "ray"
    fake.mkdir()
    (fake / "data.py").write_text("")
    (fake / "__init__.py").write_text(
        "import os, time\n"
        "assert os.environ['RAY_ENABLE_AUTO_CONNECT'] == '0'  # starts no Ray by itself\n"
        "def is_initialized(): return False\n"
        "def init(**how): time.sleep(30)\n"
        "def shutdown(): pass\n"
    )
    path = os.pathsep.join(map(str, (tmp_path, root)))
    done = subprocess.run(
        [sys.executable, "-c", SILENT],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    said = "error: --address 10.0.0.1:6379: no answer for 1 s; give the command again\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_bulk_on_ray(net, photos, tmp_path, root):
    """The command as a user gives it, on a Ray of its own."""
    pytest.importorskip("ray", reason="needs Ray: pip install -e '.[ray]'")
    (photos / "broken.png").write_bytes(b"no")
    command = f"-m jaxpercept bulk stylize {photos} -o {tmp_path}/out --stroke 1 --style {net}"
    done = subprocess.run(
        [sys.executable, *command.split(), "--cpus-per-actor", "1", "--actors", "1"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    assert len(images.list_images(tmp_path / "out")) == 6
    assert json.loads(done.stdout)["done"] == 6
    assert "1 of 7 failed" in done.stderr
