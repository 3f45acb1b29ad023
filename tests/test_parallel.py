"""One step run in many ways gives the gradients, losses and parameters of the plain single-device
program.
"""

import jax
import pytest
import step_runs
from jax import export, lax

from jaxpercept.errors import InputError
from jaxpercept.losses import objective
from jaxpercept.training import engines
from jaxpercept.training.step import make_step


@pytest.fixture(scope="module")
def expected():
    return step_runs.both_widths(step_runs.plain, step_runs.make_config())


@pytest.mark.parametrize(
    ("engine", "devices"),
    [
        *(pytest.param("shard_map", devices, marks=pytest.mark.slow) for devices in (1, 2)),
        ("shard_map", 4),
        pytest.param("pmap", 4, marks=pytest.mark.slow),
    ],
)
def test_every_engine_equals_the_single_device_jit(expected, engine, devices):
    """Batch norm's statistics, the loss and the gradient are those of the whole batch, however it
    is split."""
    config = step_runs.make_config(engine)
    step_runs.check(
        step_runs.both_widths(step_runs.mapped, config, jax.devices()[:devices]), expected
    )


def test_pmap_takes_the_same_first_step(expected):
    found = step_runs.mapped(step_runs.make_config("pmap"), jax.devices(), 1, "float32")
    named = {f"float32.{k}": v for k, v in found.items()}
    assert step_runs.difference(named, expected, "float32.gradient") < 1e-5


def test_a_sum_in_place_of_the_mean_would_be_seen(expected, monkeypatch):
    monkeypatch.setattr(lax, "pmean", lax.psum)
    found = step_runs.mapped(step_runs.make_config(), jax.devices()[:2], 1, "float32")
    assert (
        step_runs.difference(
            {f"float32.{k}": v for k, v in found.items()}, expected, "float32.gradient"
        )
        > 0.1
    )


def test_the_batch_must_divide():
    with pytest.raises(
        InputError, match=r"batch_size 6 does not divide among 4 devices; 4 or 8 would"
    ):
        engines.make_engine("shard_map", 6, jax.devices()[:4])
    with pytest.raises(InputError, match="2 would"):
        engines.make_engine("pmap", 1, jax.devices()[:2])


def test_processes_must_have_equally_many_devices():
    class Device:
        def __init__(self, process):
            self.process_index = process

    with pytest.raises(InputError, match="process 0 has 1, process 1 has 2; give each 1"):
        engines.make_engine("shard_map", 6, [Device(0), Device(1), Device(1)])


@pytest.mark.parametrize("engine", ["shard_map", "pmap"])
def test_the_step_lowers_for_gpus_and_tpus(engine):
    """Lowering needs no such device, and keeps both engines from breaking unnoticed."""
    config = step_runs.make_config(engine)
    made = engines.make_engine(engine, step_runs.BATCH, jax.devices()[:1])
    step = made.compile(make_step(config, objective.make_terms(config.objective)), 2)
    constants = [made.replicate(tree("float32")) for tree in (step_runs.phi, step_runs.grams)]
    batch = {"target": made.shard(step_runs.batches(1)[0])}
    state = made.replicate(step_runs.first_state(config, "float32"))
    lowered = export.export(jax.jit(step), platforms=["tpu", "cuda"])(state, batch, *constants)
    assert lowered.platforms == ("tpu", "cuda")
