"""Tests are strict: four fake devices, no silent rank promotion, warnings are errors
(pyproject.toml). Compiled programs are cached in one cache for all processes of the session and
kept for the next (session_cache.py). $JAXPERCEPT_CACHE names another folder for them, or is "off".
"""

# The environment is set before jax is imported.

import os

from quick import EMITTERS

os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} {EMITTERS} --xla_force_host_platform_device_count=4"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # torch's threads spin, which costs ten times the work on a busy machine
os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(
    8 << 30
)  # never reached, but with a limit jax locks the cache
os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"  # keeps its folder out of the keys

import functools
import gc
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jax
import pytest
import session_cache
from jax._src import lru_cache
from jaxtyping import install_import_hook

_session: Path | None = None  # set only in the process that the user started
if "JAXPERCEPT_CACHE" not in os.environ:  # otherwise the user chose it, or a worker inherited it
    _session = Path(tempfile.mkdtemp(prefix="jaxpercept-test-cache-"))
    os.environ["JAXPERCEPT_CACHE"] = str(_session)
    session_cache.begin(session_cache.kept_folder(), _session)
jax.config.update("jax_disable_most_optimizations", True)  # see quick.py
# With a limit, jax reads the whole folder, under its lock, before it writes a program.
lru_cache.LRUCache._evict_if_needed = lambda *_, **__: None
jax.config.update("jax_numpy_rank_promotion", "raise")
if os.environ["JAXPERCEPT_CACHE"] != "off":
    jax.config.update("jax_compilation_cache_dir", os.environ["JAXPERCEPT_CACHE"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
# Checks the shapes in signatures, except where tests give wrong shapes to see our own message.
install_import_hook(
    [
        f"jaxpercept.{name}"
        for name in ("nets.conv", "nets.layers", "losses.terms", "losses.objective")
    ],
    "beartype.beartype",
)
ROOT = Path(__file__).resolve().parent.parent
# The longest files begin first, so that no worker is left with one at the end.
LONGEST = (
    "test_distributed",
    "test_training",
    "test_parity",
    "test_synthesis",
    "test_streaming",
    "test_multistyle",
    "test_conv",
    "test_parity_gradients",
    "test_examples",
    "test_parallel",
    "test_cli",
    "test_reproduce",
    "test_faults",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def pytest_collection_finish() -> None:
    """Lets Python's collector rest: it need not go through the modules again and again, while most
    garbage of tracing is freed without it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def pytest_sessionfinish(exitstatus: int) -> None:
    """Keeps the compiled programs, unless the session was interrupted while it may have been
    writing one."""
    if _session is not None:
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session_cache.end(session_cache.kept_folder(), _session)
        shutil.rmtree(_session, ignore_errors=True)


@pytest.fixture(scope="session")
def root() -> Path:
    """Returns the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Returns the optional folder of real pictures: $JAXPERCEPT_DATA, or `../shared/data` beside
    the checkout."""
    folder = Path(os.environ.get("JAXPERCEPT_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("needs real pictures; set JAXPERCEPT_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def torch_twin() -> ModuleType:
    """Returns the nets and losses in PyTorch, which takes seconds to import."""
    pytest.importorskip("torch", reason="torch is not installed")
    from jaxpercept.evaluation import torch_twin

    return torch_twin


@pytest.fixture(scope="module")
def optimised() -> Iterator[None]:
    """Lets XLA optimise, for modules that measure rounding."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


# The fields of a config that do not change the program of its step.
NOT_OF_A_STEP = {
    *("out", "data", "exclude", "init", "vgg", "workers", "cache_gib", "max_broken"),
    *("checkpoint_every", "preview_every"),
}


@pytest.fixture(scope="module")
def cheap_trainings() -> Iterator[None]:
    """Lets the trainings of a module share what takes most of a tiny training's time: the compiled
    step, if their configs and terms make the same step for arrays of the same shapes, and the
    loss network, which is read once. `loop.compiled.__wrapped__` is the function as it is."""
    from jaxpercept.config import to_dict
    from jaxpercept.nets import vgg
    from jaxpercept.training import loop

    make_step, compiled, programs, made = loop.make_step, loop.compiled, {}, [None, None]

    def make(config, *rest):
        about = {k: v for k, v in to_dict(config).items() if k not in NOT_OF_A_STEP}
        about["style_images"] = len(config.style_images)
        if config.schedule == "constant":
            del about["steps"]
        made[:] = f"{about} {rest}", rest
        return make_step(config, *rest)

    @functools.wraps(compiled)
    def once(step, *arguments):
        leaves, tree = jax.tree.flatten(arguments)
        key = (made[0], tree, *((x.shape, x.dtype, x.sharding) for x in leaves))
        if key not in programs:  # the rest is kept, since its addresses are part of the key
            programs[key] = compiled(step, *arguments), made[1]
        return programs[key][0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_step", make)
        patch.setattr(loop, "compiled", once)
        patch.setattr(vgg, "load_vgg16", functools.cache(vgg.load_vgg16))
        yield


@pytest.fixture
def signals_at_rest() -> Iterator[None]:
    """Resets the signals, which are ignored if the tests run in the background or under nohup."""
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
