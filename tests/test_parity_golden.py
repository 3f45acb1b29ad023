"""Parity without torch: compares with PyTorch's float64 results, stored by `tests/golden/make.py`.
If torch is installed, the other parity tests compare the same cases directly, and only some are
repeated here.
"""

import importlib.util
import sys

import jax
import numpy as np
import pytest
from quick import QUICK

from jaxpercept.evaluation import parity
from jaxpercept.evaluation.parity import gradients, inputs

sys.path.insert(0, f"{__file__.rpartition('/')[0]}/golden")
import make

pytestmark = pytest.mark.usefixtures("optimised")

FORWARD = 1e-5
WITH_TORCH = importlib.util.find_spec("torch") is not None
CASES = {
    name: case
    for name, case in make.named_cases()
    if not WITH_TORCH or (case.depth == "loss" or "#1" in name)
}
CASES = {
    name: case
    for name, case in CASES.items()
    if not WITH_TORCH or case.depth in ("layer", "loss", "vgg")
}
PROBLEMS = {p.name: p for p in gradients.problems() if not WITH_TORCH or "resize" in p.name}


@pytest.fixture(scope="module")
def golden():
    with np.load(make.FILE) as file:
        return dict(zip(file["names"].tolist(), file["sketches"], strict=True))


def test_a_sketch_estimates_the_relative_error():
    x = inputs.uniform("x", (30, 40, 3))
    noisy = x + 1e-3 * inputs.uniform("noise", x.shape)
    assert 0.4 < make.error(noisy, make.sketch(x)) / parity.relative_error(noisy, x) < 2
    assert make.error(x, make.sketch(x)) == 0


def test_every_case_has_its_golden_value(golden):
    assert {name for name, _ in make.named_cases()} | {
        f"gradient: {p.name}" for p in gradients.problems()
    } == {name.split(" | ")[0] for name in golden}


@pytest.mark.parametrize("name", list(CASES))
def test_forward(golden, name):
    ours = parity.run_ours(CASES[name], "float32")
    errors = {key: make.error(value, golden[f"{name} | {key}"]) for key, value in ours.items()}
    assert max(errors.values()) < FORWARD, errors


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_the_objectives_gradient_in_float64(golden, name):
    problem, name = PROBLEMS[name], f"gradient: {name} | "
    with jax.enable_x64(True):
        loss, ours = gradients.ours(
            gradients.function(problem, options=QUICK), problem.inputs(), np.float64
        )
    assert abs(loss / golden[f"{name}loss"][0] - 1) < 1e-9
    true = {k: golden[name + k] for k in ours}
    norm = np.sqrt(sum(v[0] ** 2 for v in true.values()))
    for key, value in ours.items():
        if true[key][0] < 1e-9 * norm:
            assert np.linalg.norm(value) < 1e-9 * norm
        else:
            assert make.error(value, true[key]) < 1e-6, key
