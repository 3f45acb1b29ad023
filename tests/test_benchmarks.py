"""The benchmarks' other side, where no GPU is."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
import torch

from benchmarks import peers, rows


def test_the_peers_objective_is_built_where_its_style_image_is():
    # "meta" refuses to mix with the CPU as a GPU does
    made = rows.train_config(rows.named("train-style-256-b4")).objective
    objective = peers.Objective(made, torch.zeros(1, 3, 64, 64, device="meta"))
    assert {value.device.type for value in (*objective.parameters(), *objective.buffers())} == {
        "meta"
    }
