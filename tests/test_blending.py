"""Averages of two nets' weights, and `blend-weights`."""

import json

import jax
import numpy as np
import pytest

from jaxpercept import config
from jaxpercept.cli import main
from jaxpercept.errors import InputError
from jaxpercept.nets import blending, net_file, transform_net, weights_file

NET = config.superres_net(4).scaled(0.1)


@pytest.fixture
def nets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("ab"):
        header = {"task": "superres", "note": f"of {name}", "training": {"steps": seed}}
        net_file.save(
            tmp_path / f"{name}.safetensors", NET, transform_net.init(NET, seed)[0], {}, header
        )
    return [net_file.load(f"{name}.safetensors")[1] for name in "ab"]


def test_every_array_is_the_average(nets, tmp_path):
    line = "blend-weights a.safetensors b.safetensors --at 0.25 -o new/c.safetensors"
    assert main(line.split()) == 0
    net, params, _, header = net_file.load("new/c.safetensors")
    assert net == NET
    assert header["task"] == "superres"
    assert header["note"] == "of b; of a"
    blend = header["blend"]
    assert blend["at"] == 0.25
    assert [o["sha256"] for o in blend["of"]] == [
        weights_file.sha256(f"{n}.safetensors") for n in "ab"
    ]
    assert [o["training"]["steps"] for o in blend["of"]] == [0, 1]
    json.dumps(header)
    expected = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, *nets)
    for name, value in params.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-3)


def test_nets_that_were_trained_apart_bring_a_warning(nets, capsys):
    for second, out, warned in (("b", "c", True), ("c", "d", False)):
        pair = f"a.safetensors {second}.safetensors"
        line = f"blend-weights {pair} --at 0.5 -o {out}.safetensors"
        assert main(line.split()) == 0
        said = f"a.safetensors and {second}.safetensors have little in common"
        assert (said in capsys.readouterr().err) == warned


@pytest.mark.parametrize(("at", "which"), [(0, 0), (1, 1)])
def test_the_ends_are_the_nets(nets, at, which):
    _, params, _, _ = blending.blend("a.safetensors", "b.safetensors", at)
    assert all((params[k] == v).all() for k, v in nets[which].items())


def test_what_one_net_learned_is_added_to_another(nets, tmp_path):
    third = transform_net.init(NET, 7)[0]
    net_file.save(tmp_path / "d.safetensors", NET, third, {}, {"task": "superres"})
    for line in ("b d --at 0.5 -o m", "a m --at 2 -o e"):
        words = [f"{w}.safetensors" if w in set("abdem") else w for w in line.split()]
        assert main(["blend-weights", *words]) == 0
    made = net_file.load("e.safetensors")[1]
    for name, value in made.items():
        expected = nets[1][name] + third[name] - nets[0][name]
        np.testing.assert_allclose(value, expected, atol=4e-3 * np.abs(expected).max() + 1e-6)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a.safetensors b.safetensors --at 2.5 -o c.safetensors", "--at 2.5 is not allowed"),
        ("a.safetensors b.safetensors --at 0.5 -o c.png", "must end in .safetensors"),
        ("a.safetensors b.safetensors --at 0.5 -o b.safetensors", "-o b.safetensors is the input"),
        ("a.safetensors nosuch --at 0.5 -o c.safetensors", "nosuch"),
        ("a.safetensors x2.safetensors --at 0.5 -o c.safetensors", "head_scale 4 and 2"),
    ],
)
def test_errors_are_one_line(nets, line, said, capsys, tmp_path):
    other = config.superres_net(2).scaled(0.1)
    net_file.save(tmp_path / "x2.safetensors", other, transform_net.init(other)[0], {}, {})
    assert main(["blend-weights", *line.split()]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
    assert not (tmp_path / "c.safetensors").exists()


def test_other_styles_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        header = {"task": "multistyle", "styles": [{"name": name}]}
        net_file.save(tmp_path / f"{name}.safetensors", NET, transform_net.init(NET)[0], {}, header)
    with pytest.raises(InputError, match="different styles"):
        blending.blend("a.safetensors", "b.safetensors", 0.5)
