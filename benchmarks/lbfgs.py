"""Compares our L-BFGS with `torch.optim.LBFGS` (strong Wolfe, history 10) for the same weights,
objective, start and evaluations.

`python -m benchmarks.lbfgs --data PHOTOS --style-image S --json OUT` optimises each photo from
noise with both, in turns of ten iterations. At each count of function evaluations it prints, as
medians over the photos, our loss / its loss, and our seconds / its seconds per evaluation. Our loss
is the last accepted one, and Torch's is the lowest that it had evaluated by then. Torch runs NCHW
throughout, with targets computed once and its fastest number of threads. Its objective is first
compared with `jaxpercept.evaluation.torch_twin`. Both wall and processor seconds are given, because
other programs disturb the second less.
"""

import argparse
import json
import platform
import threading

import jax
import numpy as np
import torch

from benchmarks import command
from benchmarks.lbfgs_torch import OBJECTIVE, Clock, TorchSide, Turns, fastest, nchw
from jaxpercept import images
from jaxpercept.errors import reporting
from jaxpercept.evaluation import torch_twin
from jaxpercept.images import samples
from jaxpercept.nets import vgg
from jaxpercept.synthesis.run import Progress, synthesize
from jaxpercept.synthesis.settings import SynthesisConfig


def compare(
    name: str, content: np.ndarray, style: np.ndarray, params: vgg.Params, args: argparse.Namespace
) -> dict:
    """Runs both optimisers on one photo."""
    start = np.random.default_rng(args.seed).random(content.shape, np.float32)
    side, turns, most = TorchSide(content, style), Turns(), max(args.evaluations)
    phi = {k: torch.tensor(np.asarray(v)) for k, v in params.items()}
    twin = torch_twin.objective.objective(
        OBJECTIVE, phi, *(torch.tensor(x[None]) for x in (style, start, content))
    )
    np.testing.assert_allclose(float(side.loss(nchw(start))), float(twin), rtol=1e-5)
    torch.set_num_threads(args.threads or fastest(side, nchw(start)))
    theirs: list = []

    def work() -> None:
        try:
            theirs.extend(side.minimise(start, most, turns))
        finally:
            turns.end()

    thread = threading.Thread(target=work)
    thread.start()
    clock = Clock()
    first = [0]

    def progress(p: Progress) -> bool:
        if p.iteration > 10:  # skip the chunk that compiles
            clock.stop()
        else:
            first[0] = int(p.evaluations[0])
        if p.evaluations[0] >= most:
            turns.end()
            return True
        turns.ours()
        clock.start()
        return False

    config = SynthesisConfig(objective=OBJECTIVE, iterations=(most,), style_size=0)
    ours = synthesize(
        config, [content], [style], start=[start], vgg_params=params, progress=progress
    )
    thread.join()
    seen, their_clock = theirs
    losses, counts = ours.losses[0][0], ours.evaluations[0][0]
    seconds = clock.seconds / (counts[-1] - first[0])
    row = {
        "image": name,
        "start": float(losses[0]),
        "torch_start": seen[0],
        "threads": torch.get_num_threads(),
        "seconds": seconds.tolist(),
        "torch_seconds": (their_clock.seconds / len(seen)).tolist(),
    }
    row["at"] = {n: _at(n, losses, counts, seen) for n in args.evaluations}
    return row


def _at(n: int, losses: np.ndarray, counts: np.ndarray, seen: list[float]) -> dict:
    iterations = int(np.searchsorted(counts, n, "right")) - 1
    return {
        "loss": float(losses[iterations]),
        "evaluations": int(counts[iterations]),
        "iterations": iterations,
        "torch_loss": min(seen[:n]),
        "torch_evaluations": min(n, len(seen)),
    }


def main(argv: list[str] | None = None) -> dict:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="D",
        help="photos or folders of them (default: the sample photos)",
    )
    parser.add_argument(
        "--images",
        type=command.COUNT,
        default=5,
        metavar="N",
        help="the first N of them (default: 5)",
    )
    parser.add_argument("--style-image", metavar="S", help="default: the drawn stained glass")
    parser.add_argument(
        "--size",
        type=command.SIDE,
        default=256,
        metavar="PX",
        help="square crops of this side (default: 256)",
    )
    parser.add_argument(
        "--evaluations",
        type=command.COUNT,
        nargs="+",
        default=[100, 500],
        metavar="N",
        help="(default: 100 500)",
    )
    parser.add_argument(
        "--threads",
        type=command.COUNT,
        metavar="N",
        help="Torch's (default: 1 or its own, the faster one)",
    )
    parser.add_argument(
        "--seed", type=command.SEED, default=0, metavar="N", help="of the noise (default: 0)"
    )
    command.add_json(parser)
    args = parser.parse_args(argv)
    photos = (
        samples.sample_photos()
        if not args.data
        else {p.stem: images.load_image(p) for p in images.list_images(args.data)[: args.images]}
    )
    style = images.load_image(args.style_image) if args.style_image else samples.drawn_style()
    style, params, rows = images.resize(style, args.size, "long"), vgg.load_vgg16(), []
    for name, photo in list(photos.items())[: args.images]:
        rows.append(compare(name, images.square(photo, args.size), style, params, args))
        print(json.dumps(rows[-1]), flush=True)
    median = {
        n: {
            "loss_ratio": float(
                np.median([r["at"][n]["loss"] / r["at"][n]["torch_loss"] for r in rows])
            ),
            "worst": float(np.max([r["at"][n]["loss"] / r["at"][n]["torch_loss"] for r in rows])),
        }
        for n in args.evaluations
    }
    ratios = np.median([np.array(r["seconds"]) / r["torch_seconds"] for r in rows], axis=0)
    result = {
        "size": args.size,
        "images": len(rows),
        "median": median,
        "time_ratio": {"clock": float(ratios[0]), "processor": float(ratios[1])},
        "machine": f"{platform.machine()}, jax {jax.__version__} on {jax.default_backend()}, torch "
        f"{torch.__version__}",
        "rows": rows,
    }
    print(json.dumps({k: v for k, v in result.items() if k != "rows"}, indent=2))
    command.keep(args.json, result)
    return result


if __name__ == "__main__":
    reporting(main)
