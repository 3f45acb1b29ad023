"""Bulk jobs on clusters of two and three nodes on this machine, with processes killed at random
moments: `pytest -m cluster -n 0 -s tests/test_bulk_cluster.py`, 10 to 20 minutes. `-s` shows the
table of kills.

Every image is 64 by 64 pixels, and the net is tiny: what is looked at is which outputs are there.
"""

import contextlib
import dataclasses
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from film_files import film, times
from helpers import noise, save_noise, save_style

from jaxpercept import images
from jaxpercept.files import results

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install -e '.[ray]'"),
]
COUNT, TASK = 240, 8
# Stands in for a decoder that crashes: every process of a node runs this first.
POISON = """
import io, os
import PIL.Image
plain = PIL.Image.open
def opened(source, *args, **kwargs):
    if isinstance(source, io.BytesIO) and b"POISON" in source.getvalue():
        os.kill(os.getpid(), 9)
    return plain(source, *args, **kwargs)
PIL.Image.open = opened
"""


@dataclasses.dataclass
class Nodes:
    """A cluster: a head and `more` nodes of one CPU each."""

    cluster: object
    more: list

    @property
    def address(self):
        return self.cluster.address

    def processes(self, name):
        """The processes of all nodes' workers whose title has `name`; not Ray's agents, with which
        a node dies."""
        raylets = [
            info.process.pid
            for node in self.cluster.list_all_nodes()
            for info in node.all_processes.get("raylet", [])
        ]
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    title = (entry / "cmdline").read_text()
                except OSError:
                    continue
                if parent in raylets and name in title and "Agent" not in title:
                    found.append(int(entry.name))
        return found

    @contextlib.contextmanager
    def third(self):
        """A third node for a while."""
        self.more.append(self.cluster.add_node(num_cpus=1))
        try:
            yield
        finally:
            self.cluster.remove_node(self.more.pop(), allow_graceful=True)

    def kill_node(self):
        """Kills a node that is not the head, and later starts another."""
        self.cluster.remove_node(self.more.pop(), allow_graceful=False)
        self.more.append(self.cluster.add_node(num_cpus=1))


@pytest.fixture(scope="module")
def endpoint():
    """Where the object store will answer, and what every process knows of it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        yield port


@pytest.fixture(scope="module")
def nodes(tmp_path_factory, endpoint):
    from ray.cluster_utils import Cluster

    poison = tmp_path_factory.mktemp("poison")
    (poison / "sitecustomize.py").write_text(POISON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", f"{poison}:{os.environ.get('PYTHONPATH', '')}")
        args = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}
        cluster = Cluster(initialize_head=True, head_node_args=args)
        yield Nodes(cluster, [cluster.add_node(num_cpus=1)])
        cluster.shutdown()


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return str(save_style(tmp_path_factory.mktemp("net") / "tiny.safetensors"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    names = [f"{i % 7}/{i}.png" for i in range(COUNT)]
    return save_noise(tmp_path_factory.mktemp("photos"), names, 64, 64)


@pytest.fixture(scope="module")
def wanted(photos, net, tmp_path_factory, root):
    """What infer.py makes of the photos."""
    out = tmp_path_factory.mktemp("wanted")
    line = [sys.executable, "infer.py", "stylize", photos, "-o", out, "--style", net]
    subprocess.run(list(map(str, line)), cwd=root, check=True, capture_output=True)
    assert len(images.list_images(out)) == COUNT
    return out


def command(nodes, photos, out, net, *more):
    words = [sys.executable, "-m", "jaxpercept", "bulk", "stylize", photos, "-o", out]
    words += ["--address", nodes.address, "--cpus-per-actor", 1, "--style", net, *more]
    return list(map(str, words))


def begin(root, words):
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=root, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def written(out):
    """The outputs, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in out.rglob("*_tiny.png")}


def check(out, wanted):
    """Every output is there once, equal to infer.py's, and nothing else is."""
    made = images.list_images(out)
    assert [p.relative_to(out) for p in made] == [
        p.relative_to(wanted) for p in images.list_images(wanted)
    ]
    for path in made:
        same = wanted / path.relative_to(out)
        assert np.abs(images.load_image(path) - images.load_image(same)).max() < 1.5 / 255
    assert not list(out.rglob(".jaxpercept*"))


def kill(kind, nodes, driver):
    """Kills one process, or a node's; says what. Waits until there is one."""
    if kind == "node":
        nodes.kill_node()
        return "raylet"
    if kind == "driver":
        driver.kill()
        driver.wait()
        return "driver"
    while driver.poll() is None:
        # Before there is an actor, the death of a process that Ray started ahead makes ray.init()
        # wait for ever (Ray 2.60), which `cluster.connect` ends after two minutes.
        found = nodes.processes("ray::MapWorker")
        found = nodes.processes("ray::") if found and kind == "worker" else found
        with contextlib.suppress(OSError):  # it has ended by itself
            chosen = random.choice(found or [0])
            title = Path(f"/proc/{chosen}/cmdline").read_text().rstrip("\0")[:40]
            os.kill(chosen, signal.SIGKILL)
            return title
        time.sleep(0.1)
    return "nothing"


@pytest.mark.parametrize("kind", ["actor", "worker", "node", "driver"])
def test_five_kills(kind, nodes, photos, wanted, net, tmp_path, root):
    """At random moments of one job, the first before it has an output; then the same command."""
    out = tmp_path / "out"
    words = command(nodes, photos, out, net, "--task-size", TASK)
    driver, begun, runs, seen = begin(root, words), time.monotonic(), 1, {}
    redone: Counter[Path] = Counter()

    def look():
        now = written(out)
        redone.update(path for path, at in now.items() if seen.get(path, at) != at)
        seen.update(now)

    for after in sorted([0, *random.sample(range(1, COUNT - 2 * TASK), 4)]):
        if driver.poll() is not None:  # a kill before ended it: the same command again
            driver, runs = begin(root, words), runs + 1
        while driver.poll() is None and len(seen) < after:
            time.sleep(0.1)
            look()
        row = {"kill": kind, "second": round(time.monotonic() - begun, 1), "there": len(seen)}
        row["process"] = kill(kind, nodes, driver)
        print(results.encoded(row), end="", flush=True)
    said, _ = driver.communicate(timeout=600)
    look()
    missing = COUNT - len(seen)
    while driver.returncode != 0 and runs < 9:
        driver, runs = begin(root, words), runs + 1
        said, _ = driver.communicate(timeout=600)
        look()
    assert driver.returncode == 0, said
    check(out, wanted)
    row = {"kills": kind, "runs": runs, "missing_before_the_last_runs": missing, "lost": 0}
    print(results.encoded(row | {"redone": redone.total()}), end="", flush=True)
    assert redone.total() <= 5 * 2 * TASK  # for each kill, a batch of each of two actors


def test_what_crashes_or_fails_alone(nodes, photos, net, tmp_path, root):
    """One image kills each process that reads it, one cannot be read, one says it is huge."""
    folder = save_noise(tmp_path / "in", [f"{i}.png" for i in range(20)], 64, 64)
    poison = images.save_image(folder / "poison.png", noise(1, 64, 64))
    poison.write_bytes(poison.read_bytes() + b"POISON")
    (folder / "broken.png").write_bytes(b"no")
    gif = b"GIF89a" + (10_000).to_bytes(2, "little") * 2 + b"\xf0\x00\x00" + b"\x00" * 6
    gif += b"," + b"\x00" * 4 + gif[6:10] + b"\x00\x02"
    (folder / "huge.gif").write_bytes(gif + b"\x00" * (48 - len(gif)))
    driver = begin(root, command(nodes, folder, tmp_path / "out", net))
    said, _ = driver.communicate(timeout=400)
    assert driver.returncode == 1, said
    lines = (tmp_path / "out/_bulk/errors.jsonl").read_text().splitlines()
    errors = {Path(r["input"]).name: r["error"] for r in map(json.loads, lines)}
    assert sorted(errors) == ["broken.png", "huge.gif", "poison.png"]
    assert "died twice" in errors["poison.png"]
    assert "broken image file" in errors["huge.gif"]
    assert len(written(tmp_path / "out")) == 20


@pytest.mark.parametrize("count", [2, 3])
def test_the_load_is_shared(count, nodes, photos, wanted, net, tmp_path, root):
    with nodes.third() if count == 3 else contextlib.nullcontext():
        driver = begin(root, command(nodes, photos, tmp_path / "out", net))
        said, _ = driver.communicate(timeout=400)
    assert driver.returncode == 0, said
    check(tmp_path / "out", wanted)
    summary = json.loads((tmp_path / "out/_bulk/summary.json").read_text())
    assert Counter(summary["by_node"]).total() == COUNT
    assert len(summary["by_node"]) == count


def test_films_are_shared_by_three_nodes(nodes, net, tmp_path, root):
    """One of the films is broken, and a node dies while they are made."""
    av = pytest.importorskip("av", reason="needs the extra `video`")
    folder, out, shown = tmp_path / "in", tmp_path / "out", list(range(0, 4000, 40))
    folder.mkdir()
    for number in range(12):
        film(av, folder / f"{number}.mp4", times=shown)
    (folder / "broken.mkv").write_bytes(b"no film")
    with nodes.third():
        driver = begin(root, command(nodes, folder, out, net))
        while driver.poll() is None and len(list(out.rglob("*_tiny.mp4"))) < 3:
            time.sleep(0.1)
        nodes.kill_node()
        said, _ = driver.communicate(timeout=400)
    assert driver.returncode == 1, said
    (line,) = (out / "_bulk/errors.jsonl").read_text().splitlines()
    assert "broken.mkv" in json.loads(line)["input"]
    made = [path for path in out.rglob("*") if path.is_file() and "_bulk" not in path.parts]
    assert sorted(path.name for path in made) == sorted(f"{n}_tiny.mp4" for n in range(12))
    assert all(times(av, path) == shown for path in made)


def test_ten_thousand_tiny_files(nodes, net, tmp_path, root):
    """More files than are ever in memory at once."""
    folder = save_noise(tmp_path / "in", ["0.png"], 16, 16)
    data = (folder / "0.png").read_bytes()
    for number in range(1, 10_000):
        place = folder / str(number % 100) / f"{number}.png"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
    driver = begin(root, command(nodes, folder, tmp_path / "out", net, "--batch-size", 16))
    said, _ = driver.communicate(timeout=1200)
    assert driver.returncode == 0, said
    assert len(written(tmp_path / "out")) == 10_000
    print(said[-1500:])


class Busy:
    """An object store in front of which every third request is answered with 503 SlowDown."""

    def __init__(self, application):
        self.application, self.requests, self.refused = application, 0, 0
        self._lock = threading.Lock()

    def __call__(self, environ, start):
        with self._lock:
            self.requests += 1
            refuse = self.requests % 3 == 0
            self.refused += refuse
        if not refuse:
            return self.application(environ, start)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start("503 Slow Down", [("Content-Type", "application/xml")])
        return [b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"]


@pytest.fixture
def store(endpoint):
    server = pytest.importorskip("moto.server", reason="needs moto: pip install 'moto[server]'")
    from werkzeug.serving import make_server

    busy = Busy(server.DomainDispatcherApplication(server.create_backend_app))
    serving = make_server("127.0.0.1", endpoint, busy, threaded=True)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield busy
    serving.shutdown()
    thread.join()


def test_an_object_store_that_is_busy(store, nodes, photos, wanted, net, tmp_path, root):
    """Inputs and outputs in S3: all there once, then nothing to do, then what has changed."""
    from pyarrow import fs

    from jaxpercept.bulk import places

    s3 = fs.S3FileSystem(
        endpoint_override=os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"),
        scheme="http",
        allow_bucket_creation=True,
    )
    places._tried(s3.create_dir, "bucket")
    for path in images.list_images(photos):
        name = f"s3://bucket/in/{path.relative_to(photos).as_posix()}"
        places.write(name, path.read_bytes())
    store.requests = store.refused = 0
    words = command(nodes, "s3://bucket/in", "s3://bucket/out", net)
    counts = []
    for _ in range(3):
        driver = begin(root, words)
        said, _ = driver.communicate(timeout=400)
        assert driver.returncode == 0, said
        summary = json.loads(places.read("s3://bucket/out/_bulk/summary.json"))
        counts.append((summary["done"], store.requests, store.refused))
        if len(counts) == 2:
            places.remove("s3://bucket/out/0/0_tiny.png")
            places.write("s3://bucket/in/1/1.png", (photos / "2/2.png").read_bytes())
    print(counts, flush=True)
    assert [done for done, _, _ in counts] == [COUNT, 0, 2]
    made = {entry.name for entry in places.listing("s3://bucket/out") if "_bulk" not in entry.name}
    assert len(made) == COUNT
    for path in images.list_images(wanted)[5:]:
        below = path.relative_to(wanted).as_posix()
        if below == "1/1_tiny.png":
            continue
        picture = images.load_image(places.read(f"s3://bucket/out/{below}"))
        assert np.abs(picture - images.load_image(path)).max() < 1.5 / 255
