"""The configuration of a bulk job: how it is spread over machines, which changes no output."""

from __future__ import annotations

from dataclasses import dataclass

from jaxpercept.config.options import option, settle


@dataclass(frozen=True)
class BulkConfig:
    """The options of `bulk` besides those of `stylize` and `upscale`."""

    address: str | None = option(
        None,
        "a Ray cluster to join, HOST:PORT, or auto for the one that this machine is part of "
        "(default: Ray is started on this machine)",
        metavar="A",
    )
    actors: int | None = option(
        None,
        "processes that hold the nets (default: as many as the cluster has room for at the start)",
        least=1,
    )
    cpus_per_actor: float | None = option(
        None, "CPUs per actor (default: 4, or all of a machine that has fewer)", above=0
    )
    gpus_per_actor: float | None = option(
        None,
        "GPUs per actor, or a share of one, such as 0.25; 0 uses CPUs alone (default: 1 if the "
        "cluster has GPUs)",
        least=0,
    )
    task_size: int | None = option(
        None,
        "inputs per task; if a process dies, at most these are done again (default: up to 64, "
        "fewer if there are few inputs)",
        least=1,
        most=10_000,
    )

    def __post_init__(self) -> None:
        settle(self)
