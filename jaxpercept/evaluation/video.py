"""Measures how steady a style net is: its warping error on films, and its response to a shift.

The error at a lag of n frames is the root mean square of O_t − W(O_{t−n}), O in [0, 1]. The mean
runs over channels, pairs of frames and the pixels where the flow W is reliable. W comes from the
input frames alone. A net that draws nothing also has a low error, so compare it with the input's
own error and with the net's objective.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import images
from jaxpercept.errors import InputError, Name, counted
from jaxpercept.evaluation.video_losses import LOSSES, Judge, judge
from jaxpercept.images import Float
from jaxpercept.images.frames import Cut, Film
from jaxpercept.inference import films, optical_flow, smoothing, steadying
from jaxpercept.inference.model import Model, load_model
from jaxpercept.inference.smoothing import Smoother
from jaxpercept.inference.steadying import Steadier
from jaxpercept.nets import geometry
from jaxpercept.runtime import backend
from jaxpercept.runtime.progress import seldom

LAGS = (1, 5, 10)
SHIFTS = (1, 4)  # in pixels; 4 is the stride of our nets
INPUT = "input"  # the name of the film's own row
NOTHING = (
    "nothing to draw: no two neighbouring frames show the same things, so the optical flow aligns "
    "none; give clips without a cut, or more --frames"
)
_BYTES = 192  # of a pixel at least: the frame, its picture, two activations of 16 channels
Outputs = Callable[[Float], Float]  # maps (H, W, 3) in [0, 1] to the same


def evaluate_video(
    clips: Sequence[str | os.PathLike[str]],
    styles: Sequence[str | os.PathLike[str]],
    *,
    size: int = 320,
    frames: int = 16,
    start: Fraction | Sequence[Fraction] = Fraction(0),
    lags: Sequence[int] = LAGS,
    paintings: Sequence[str | os.PathLike[str]] = (),
    steady: float = 0.0,
    smooth: float = 0.0,
    grain: float | None = None,
    progress: Callable[[str], None] = lambda line: None,
    watch: Callable[..., object] | None = None,
) -> dict[str, Any]:
    """Measures `styles` (names or weights files) on `clips`: the first `frames` after `start`
    seconds (of all clips, or of each), at a width of `size`. `steady` and `smooth` are those of
    `film_frames.Making`, and `grain` is that of a film (None: what it has unless the user sets
    another). They do not change "shift1" and "shift4".

    Returns {"clips": {CLIP: {STYLE: {"lag1": …, "shift1": …, "each": [error of each neighbouring
    pair, None if the flow aligns none of it]}}}, "size", "frames", "lags", "steady", "smooth",
    "grain", "failed"}. A row "input" is the clip's own error. A bad clip is recorded in "failed".
    With `paintings`, the style images of the styles in their order, each style also has the losses
    "content" and "style" of `video_losses`, and "content_each" and "style_each" of the frames.
    `watch` is called with the pictures, see `video_sheet.Differences`. Raises InputError if
    no clip can be used, for another number of paintings or starts, or for a share that is not
    allowed."""
    smoothing.check("steady", steady)
    smoothing.check("smooth", smooth)
    images.check_grain(grain or 0.0)
    starts = [start] * len(clips) if isinstance(start, Fraction) else list(start)
    if len(starts) != len(clips):
        raise InputError(
            Name("start"),
            f": {len(starts)} times for {len(clips)} clips; give one, or one for each",
        )
    if len(paintings) not in (0, len(styles)):
        raise InputError(
            f"{len(paintings)} paintings for {len(styles)} styles; give one for each style"
        )
    names = [str(style) for style in styles]
    if paintings and (again := [name for name in names if names.count(name) > 1]):
        raise InputError(f"the style {again[0]} is given twice; give each once, with its painting")
    nets: dict[str, Model] = {str(style): load_model(style) for style in styles}
    for name, net in nets.items():
        if net.config.scale != 1:
            raise InputError(f"{name}: is a super-resolution net; choose a style net")
    judges = {
        str(style): judge(nets[str(style)], Path(painting))
        for style, painting in zip(styles, paintings, strict=False)
    }
    result: dict[str, Any] = {"clips": {}, "size": size, "frames": frames}
    result |= {"lags": list(lags), "steady": steady, "smooth": smooth, "grain": grain, "failed": []}
    for clip, begin in zip(clips, starts, strict=True):
        try:
            film = films.open_film(Path(clip), begin)
            seen = [_fitted(x, size, clip) for x in _first(film, frames, begin)]
            if len(seen) < 2:
                where = f" from {float(begin):g} s on; give an earlier " if begin else ""
                fix = (where, Name("start")) if begin else ("; give a longer clip",)
                raise InputError(f"{clip}: has fewer than two frames", *fix)
            calls = {name: _played(net, steady, smooth, grain) for name, net in nets.items()}
            plain = {name: _single(net) for name, net in nets.items()}
            name = str(clip) if [*clips].count(clip) == 1 else f"{clip} from {float(begin):g} s"
            watched = partial(watch, name) if watch else None
            told = partial(_tell, seldom(progress), clip, len(seen))
            result["clips"][name] = measured(seen, calls, lags, judges, watched, plain, told)
        except InputError as error:
            result["failed"].append(error.with_flags({"size": "--size", "start": "--from"}))
            progress(f"error: {result['failed'][-1]}")
            continue
        short = f" of the {frames} asked for" if len(seen) < frames else ""
        progress(f"{clip}: {counted(len(seen), 'frame')}{short}")
        if damage := film.damage or film.flawed:
            progress(f"{clip}: {damage}")
    if not result["clips"]:
        raise InputError("no film could be measured; see the lines above")
    return result


def _tell(tell: Callable[[str], object], clip: object, count: int, done: int) -> None:
    tell(f"{clip}: {done} of {counted(count, 'frame')}")


def measured(
    frames: Sequence[Float],
    nets: Mapping[str, Outputs],
    lags: Sequence[int] = LAGS,
    judges: Mapping[str, Judge] | None = None,
    watch: Callable[..., object] | None = None,
    plain: Mapping[str, Outputs] | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, dict[str, Any]]:
    """Returns the numbers of one clip, frames (H, W, 3) in [0, 1] of one size. For "input" and each
    of `nets`, they are the error at each of `lags` that the clip is long enough for, the error of
    each neighbouring pair, and how much a shift changes its output on the first frame. `judges`
    give the losses of the nets of their names. `watch` gets each net's name, the frame's index, the
    number of frames, the frame, the picture, its difference to the one at the first lag, and where
    that is reliable. The shifts are measured on `plain`, if `nets` need to see a film in order.
    `progress` gets the number of frames that are done."""
    calls: dict[str, Outputs] = {INPUT: lambda x: x, **nets}
    squares: dict[tuple[str, int], list[float]] = defaultdict(list)
    losses: dict[tuple[str, str], list[float]] = defaultdict(list)
    window: deque[tuple[Float, dict[str, Float]]] = deque(maxlen=max(lags) + 1)
    for index, frame in enumerate(frames):
        if index and progress:
            progress(index)
        window.append((frame, {name: np.asarray(call(frame)) for name, call in calls.items()}))
        for name, judged in (judges or {}).items():
            for loss, value in judged(window[-1][1][name], frame).items():
                losses[name, loss].append(value)
        for lag in (n for n in lags if n < len(window)):
            before, earlier = window[-1 - lag]
            back, forward = optical_flow.flow(frame, before), optical_flow.flow(before, frame)
            mask = optical_flow.valid(back, forward)
            seen = bool(mask.any())  # not so across a cut
            for name, output in window[-1][1].items():
                apart = output - optical_flow.warped(earlier[name], back)
                square = float((apart[mask] ** 2).mean()) if seen else math.nan
                squares[name, lag].append(square)
                if watch and seen and lag == lags[0] and name != INPUT:
                    watch(name, index, len(frames), frame, output, apart, mask)
    rows: dict[str, dict[str, Any]] = {}
    for name, still in (calls | dict(plain or {})).items():
        row: dict[str, Any] = {
            f"lag{lag}": float(np.sqrt(np.nanmean(squares[name, lag])))
            for lag in lags
            if not np.isnan(squares[name, lag]).all()
        }
        row |= {f"shift{n}": shift_error(still, frames[0], n) for n in SHIFTS}
        for loss in (key for key in LOSSES if losses[name, key]):
            row |= {loss: float(np.mean(losses[name, loss])), f"{loss}_each": losses[name, loss]}
        row["each"] = [None if math.isnan(s) else math.sqrt(s) for s in squares[name, lags[0]]]
        rows[name] = row
    return rows


def shift_error(net: Outputs, image: Float, pixels: int) -> float:
    """Compares a net's picture of an image with its picture of the image moved to the right by
    `pixels`, moved back. Returns the RMSE away from the borders, which is 0 for a net that commutes
    with shifts. Both inputs are cut from the one image (H, W, 3), with equal sizes."""
    whole = image.shape[1] - pixels - (image.shape[1] - pixels) % 4
    a, b = (np.asarray(net(image[:, i : i + whole])) for i in (pixels, 0))
    edge = min(32, min(a.shape[:2]) // 4)
    inside = np.s_[edge:-edge, edge : whole - pixels - edge]
    apart = a[:, : whole - pixels][inside] - b[:, pixels:][inside]
    return float(np.sqrt(np.mean(apart**2)))


def _first(film: Film, count: int, start: Fraction) -> Iterator[Float]:
    for frame in islice(Cut(start=start).applied(film), count):
        yield images.to_float(frame.pixels)


def _fitted(x: Float, width: int, clip: object) -> Float:
    """Returns a frame at its size. Raises InputError if there is no memory for it and for its
    pictures, since Linux would kill the process."""
    height = max(16, round(x.shape[0] * width / x.shape[1]))
    needed = _BYTES * height * width
    backend.check_memory(f"{clip}: {width}x{height}", needed, "a smaller --size or fewer --frames")
    return images.resize(x, (height, width))


def _played(net: Model, steady: float, smooth: float, grain: float | None) -> Outputs:
    """Returns the net on the frames of a film in order, as the `video` command applies it."""
    single, smoother = _single(net), Smoother(smooth)
    steadier = Steadier(steady, geometry.multiple(net.config))
    amount = steadying.grain(net, steady, grain)

    def call(x: Float) -> Float:
        view = steadier(x)
        return smoother(x, view.restored(single(view.grained(amount))))

    return call


def _single(net: Model) -> Outputs:
    return lambda x: np.asarray(net(x[None]))[0]
