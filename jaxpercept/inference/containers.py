"""Opens film files with PyAV (the extra `video`), and chooses what is shown of them. `film_reading`
reads their frames, `sound` their sound, and `encoding` and `muxing` write films. No other module
imports av.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from jaxpercept.errors import InputError

READ_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".3gp", ".ogv"),
)
LONGEST = 3600  # seconds that a frame may last; a longer one comes of broken times
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders leave it out
_DEFAULT, _PICTURES = 1 << 0, 1 << 10 | 1 << 11  # FFmpeg's dispositions; covers and thumbnails


def library() -> Any:
    """Returns the module `av`. Raises InputError if it is not installed."""
    try:
        import av
    except ImportError as error:
        raise InputError(
            "films need the extra `video`, which is not installed; "
            "pip install 'jaxpercept[video]' (GIF, WebP and PNG animations work without it)"
        ) from error
    av.logging.set_level(None)
    return av


def location(path: str | Path) -> str:
    """Returns a file's name for FFmpeg, which takes what stands before a colon for a protocol."""
    return f"file:{path}"


def opened(path: Path) -> Any:
    """Opens a film file for reading. Its titles may be in any encoding."""
    av = library()
    older = int(av.__version__.partition(".")[0]) < 19  # later ones always do so, without an option
    return av.open(location(path), **({"metadata_errors": "replace"} if older else {}))


def chosen(streams: Iterable[Any]) -> Any:
    """Returns the stream that players choose: the first that is marked as the default, or else the
    first. Cover pictures and unknown codecs do not count. Returns None if there is no other."""
    known = [s for s in streams if s.codec_context is not None and not s.disposition & _PICTURES]
    return next((s for s in known if s.disposition & _DEFAULT), known[0] if known else None)


def decoded(container: Any, stream: Any, failed: Callable[[Exception], object]) -> Iterator[Any]:
    """Yields a stream's frames. What cannot be decoded is left out, as in players, and `failed` is
    told."""
    context = _with_alpha(stream)
    for packet in container.demux(stream):
        try:
            frames = packet.decode() if context is None else context.decode(packet)
        except library().InvalidDataError as error:
            failed(error)
            continue
        yield from frames


def _with_alpha(stream: Any) -> Any:
    """Returns a decoder that also reads WebM's transparency, which is beside the pictures, or None
    if the stream has none or PyAV lacks the decoder."""
    av, given = library(), stream.codec_context
    if stream.metadata.get("alpha_mode") != "1" or given.name not in _WITH_ALPHA:
        return None
    try:
        made = av.CodecContext.create(_WITH_ALPHA[given.name], "r")
    except ValueError:  # the codec is unknown
        return None
    made.extradata = given.extradata
    for name in ("color_primaries", "color_trc", "colorspace", "color_range"):
        setattr(made, name, getattr(given, name))
    return made


def reason(error: Exception) -> str:
    """Returns what an error of PyAV says, in few words."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
