"""A finished segment of a film as the bytes of one NumPy archive, with what the next one needs."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.inference.encoding import Packet, Segment
from jaxpercept.inference.stills import Stills

_NUMBERS = ("pts", "dts", "duration", "key")  # of a packet


@dataclass(frozen=True)
class Stored:
    """A segment, what smoothing needs of its last frame, and the stills up to its end."""

    segment: Segment
    trail: tuple[NDArray[np.uint8], NDArray[np.float32]] | None = None
    stills: Stills = field(default_factory=Stills)


def to_bytes(stored: Stored) -> bytes:
    """Returns the archive."""
    segment, stills = stored.segment, stored.stills
    packets = segment.packets
    arrays: dict[str, Any] = {n: [int(getattr(p, n)) for p in packets] for n in _NUMBERS}
    arrays["sizes"] = [len(packet.data) for packet in packets]
    arrays["data"] = np.frombuffer(b"".join(packet.data for packet in packets), np.uint8)
    if stored.trail is not None:
        arrays["photo"], arrays["picture"] = stored.trail
    if stills.kept:
        arrays["stills"] = np.stack([picture for _, picture in stills.kept])
    about = {"height": segment.height, "width": segment.width, "end": str(segment.end)}
    about |= {"seen": stills.seen, "step": stills.step}
    about |= {"times": [str(time) for time, _ in stills.kept]}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def from_bytes(data: bytes) -> Stored:
    """Returns what `to_bytes` was given. Raises ValueError for damaged bytes."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = dict(archive)
        about = json.loads(arrays["about"].tobytes())
        ends = np.cumsum(arrays["sizes"]).tolist()
        whole = arrays["data"].tobytes()
        bodies = [whole[i:j] for i, j in zip([0, *ends], ends, strict=False)]
        columns = (arrays[name].tolist() for name in _NUMBERS)
        rows = zip(*columns, bodies, strict=True)
        packets = [Packet(pts, dts, long, bool(key), body) for pts, dts, long, key, body in rows]
        stills = Stills()
        stills.seen, stills.step = about["seen"], about["step"]
        times = map(Fraction, about["times"])
        stills.kept = list(zip(times, arrays.get("stills", ()), strict=True))
        trail = (arrays["photo"], arrays["picture"]) if "photo" in arrays else None
        size = about["height"], about["width"]
        return Stored(Segment(packets, *size, Fraction(about["end"])), trail, stills)
    except (OSError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError("a damaged segment") from error
