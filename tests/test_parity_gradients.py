"""The gradient of the whole style objective and training with Adam, against PyTorch."""

from functools import partial

import jax
import numpy as np
import pytest

from jaxpercept import objective, parallel, parity, training, transform_net, vgg
from jaxpercept.config import NET_PRESETS, ObjectiveConfig, TrainConfig
from jaxpercept.parity import cases, gradients

torch_twin = pytest.importorskip("jaxpercept.torch_twin", reason="torch is not installed", exc_type=ImportError)
HIGHEST = partial(jax.default_matmul_precision, "highest")
PROBLEMS = {problem.name: problem for problem in gradients.problems()}


@pytest.mark.parametrize("name", list(PROBLEMS))
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
    # by hand: what a norm follows on every path, or cancels as a constant, cannot move the loss
    assert (len(zero) > 0) == (problem.net.norm == "instance" or problem.net.bias)


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_the_objectives_gradient_in_float32(name):
    """No further from the float64 gradient than 3 times what PyTorch's own float32 is."""
    ours, torchs = gradients.compare(PROBLEMS[name], "float32", HIGHEST, draws=3)
    assert ours < parity.TIMES_TORCH * torchs
    assert torchs < 1e-3


@pytest.mark.parametrize("preset", ["resize", "paper"])
def test_twenty_float64_training_steps(preset):
    """Our own train step against torch.optim.Adam: losses, parameters and batch norm's running statistics."""
    net = NET_PRESETS[preset].scaled(0.125)
    shallow = ObjectiveConfig(weights={"content": 1.0, "style": 5.0, "tv": 1e-4}, style_layers=("relu1_2", "relu2_2"))
    config = TrainConfig(net=net, objective=shallow, batch_size=2, image_size=24)
    d = cases.variables(net)
    phi = {f"vgg.{k}": np.asarray(v, np.float64) for k, v in vgg.load_vgg16().items() if k[:5] < "conv3" or k[0] == "p"}
    params, stats, phi = cases.part(d, "params"), cases.part(d, "stats"), cases.part(phi, "vgg")
    style = cases.picture((24, 28), 1, "style")
    images = [(255 * cases.uniform(f"batch {i}", (2, 24, 24, 3), 0.0, 1.0)).astype(np.uint8) for i in range(20)]

    with jax.enable_x64(True), HIGHEST():
        terms = objective.make_terms(shallow)
        engine = parallel.ShardMap(jax.devices()[:1])
        grams = objective.style_targets(phi, jax.numpy.asarray(style), shallow.style_layers)
        optimizer = training.make_optimizer(config)
        state = training.TrainState(
            jax.numpy.zeros((), jax.numpy.int32), params, stats,
            optimizer.init({k: jax.numpy.asarray(v) for k, v in params.items()}),
        )  # fmt: skip
        state = engine.replicate(state)
        constants = [engine.replicate(tree) for tree in (phi, grams)]
        step = engine.compile(training.make_step(config, terms), len(constants))
        seen = []
        for batch in images:
            state, metrics = step(state, {"target": engine.shard(batch)}, *constants)
            seen.append(float(metrics["loss"]))
        final = engine.unreplicate(state)
        final_params = {k: np.asarray(v) for k, v in final.params.items()}
        final_stats = {k: np.asarray(v) for k, v in final.stats.items()}

    tensors = {k: torch_twin.torch.tensor(v) for k, v in phi.items()}
    target, running = torch_twin.torch.tensor(style), {k: torch_twin.torch.tensor(v) for k, v in stats.items()}

    def twin(p, x):
        nonlocal running
        output, running = torch_twin.nets.transform(net, p, running, x, train=True)
        return torch_twin.objective.objective(shallow, tensors, target, output, x)

    losses, true = torch_twin.adam(twin, params, [b / 255.0 for b in images], config.learning_rate)
    trained = running
    assert losses[-1] < 0.8 * losses[0]
    assert parity.relative_error(seen, losses) < 1e-6
    _, first = torch_twin.gradient(lambda t: twin(t, torch_twin.torch.tensor(images[0] / 255.0)), params, params)
    norm = gradients.tree_norm(first)
    for name, value in true.items():
        if np.linalg.norm(first[name]) < 1e-9 * norm:  # in truth zero: Adam divides its rounding noise by its epsilon
            assert np.abs(final_params[name] - params[name]).max() < 20 * config.learning_rate
        else:
            assert parity.relative_error(final_params[name], value) < 1e-6, name
    for name, value in trained.items():
        assert parity.relative_error(final_stats[name], value.numpy()) < 1e-6
    assert transform_net.shapes(net)[1].keys() == trained.keys()
