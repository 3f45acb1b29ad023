"""The gradient of the whole style objective and training with Adam, against PyTorch."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from jaxpercept.config import NET_PRESETS, ObjectiveConfig, TrainConfig
from jaxpercept.evaluation import parity
from jaxpercept.evaluation.parity import gradients, inputs
from jaxpercept.losses import objective
from jaxpercept.nets import transform_net, vgg
from jaxpercept.training import engines, optimizers
from jaxpercept.training.step import TrainState, make_step

pytestmark = pytest.mark.usefixtures("torch_twin")
HIGHEST = partial(jax.default_matmul_precision, "highest")
PROBLEMS = {problem.name: problem for problem in gradients.problems()}
each_problem = pytest.mark.parametrize(
    "name",
    [
        name if name.startswith("resize") else pytest.param(name, marks=pytest.mark.slow)
        for name in PROBLEMS
    ],
)


@each_problem
def test_the_objectives_gradient_in_float64(name):
    problem = PROBLEMS[name]
    d = problem.inputs()
    true_loss, true = gradients.twin(problem, d)
    with jax.enable_x64(True):
        loss, ours = gradients.ours(gradients.function(problem), d, np.float64)
    assert abs(loss / true_loss - 1) < 1e-12
    assert ours.keys() == true.keys()
    assert gradients.tree_error(ours, true) < 1e-6
    norm = gradients.tree_norm(true)
    zero = {k for k, v in true.items() if np.linalg.norm(v) < 1e-9 * norm}
    assert max((np.linalg.norm(ours[k]) for k in zero), default=0.0) < 1e-9 * norm
    assert max(parity.relative_error(ours[k], v) for k, v in true.items() if k not in zero) < 1e-6
    assert "x" not in zero
    # Listed by hand: parameters that a norm follows on every path, or cancels as a constant, cannot
    # change the loss.
    assert (len(zero) > 0) == (problem.net.norm == "instance" or problem.net.bias)


@each_problem
def test_the_objectives_gradient_in_float32(name):
    """Our distance from the float64 gradient is at most 3 times that of PyTorch's own float32."""
    ours, torchs = gradients.compare(PROBLEMS[name], "float32", HIGHEST, draws=3)
    assert ours < parity.TIMES_TORCH * torchs
    assert torchs < 1e-3


@pytest.mark.parametrize(
    ("preset", "steps", "layers", "falls"),
    [
        ("reference", 4, ("relu1_1",), 1.0),
        *(
            pytest.param(name, 20, ("relu1_2", "relu2_2"), 0.9, marks=pytest.mark.slow)
            for name in NET_PRESETS
        ),
    ],
)
def test_float64_training_steps(torch_twin, preset, steps, layers, falls):
    """Compares our train step with torch.optim.Adam: losses, parameters and batch norm's running
    statistics. Nets have an eighth of the width and two blocks, and the shallow half of the style
    layers is used. The default run has a net with batch norm, few steps and the first layer."""
    net = NET_PRESETS[preset].scaled(0.125)
    net = dataclasses.replace(
        net, blocks=2, start_padding=net.start_padding * 2 // 5
    )  # compiles faster
    if len(layers) == 1:
        net = dataclasses.replace(net, blocks=1, start_padding=net.start_padding // 2)
    # With a loss of about 1, Adam's epsilon hides the rounding noise of leaves whose true gradient
    # is zero. With the usual weights, that noise would move them by up to the learning rate, and
    # with them the running means of later norms.
    weights = {"content": 1e-7, "style": 5e-7, "tv": 1e-6}
    content = (layers[-1],)
    shallow = ObjectiveConfig(weights=weights, content_layers=content, style_layers=layers)
    config = TrainConfig(net=net, objective=shallow, batch_size=2, image_size=16)
    d = inputs.variables(net)
    phi = {
        f"vgg.{k}": np.asarray(v, np.float64)
        for k, v in vgg.load_vgg16().items()
        if k[:5] < "conv3" or k[0] == "p"
    }
    params, stats, phi = inputs.part(d, "params"), inputs.part(d, "stats"), inputs.part(phi, "vgg")
    style = inputs.picture((24, 28), 1, "style")
    images = [
        (255 * inputs.uniform(f"batch {i}", (2, 16, 16, 3), 0.0, 1.0)).astype(np.uint8)
        for i in range(steps)
    ]

    with jax.enable_x64(True), HIGHEST():
        terms = objective.make_terms(shallow)
        ours = {k: jax.numpy.asarray(v) for k, v in phi.items()}
        grams = objective.style_targets(ours, jax.numpy.asarray(style), shallow.style_layers)
        start = [{k: jax.numpy.asarray(v) for k, v in tree.items()} for tree in (params, stats)]
        opt_state = optimizers.make_optimizer(config).init(start[0])
        state = TrainState(jax.numpy.zeros((), jax.numpy.int32), *start, opt_state)
        step = jax.vmap(
            make_step(config, terms),
            in_axes=(None, 0, None, None),
            out_axes=None,
            axis_name=engines.AXIS,
        )
        step = jax.jit(step)
        seen = []
        for batch in images:
            state, metrics = step(state, {"target": batch[None]}, ours, grams)
            seen.append(float(metrics["loss"]))
        final_params = {k: np.asarray(v) for k, v in state.params.items()}
        final_stats = {k: np.asarray(v) for k, v in state.stats.items()}

    tensors = {k: torch_twin.torch.tensor(v) for k, v in phi.items()}
    target, running = (
        torch_twin.torch.tensor(style),
        {k: torch_twin.torch.tensor(v) for k, v in stats.items()},
    )

    def twin(p, x):
        nonlocal running
        output, running = torch_twin.nets.transform(net, p, running, x, train=True)
        return torch_twin.objective.objective(shallow, tensors, target, output, x)

    losses, true = torch_twin.adam(twin, params, [b / 255.0 for b in images], config.learning_rate)
    trained = running
    assert losses[-1] < falls * losses[0] < 100
    assert parity.relative_error(seen, losses) < 1e-6
    for name, value in true.items():
        assert parity.relative_error(final_params[name], value) < 1e-6, name
    for name, value in trained.items():
        assert parity.relative_error(final_stats[name], value.numpy()) < 1e-6
    assert transform_net.shapes(net)[1].keys() == trained.keys()
