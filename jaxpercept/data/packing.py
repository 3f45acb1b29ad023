"""Packs a folder of images into a TFDS dataset: ArrayRecord files with random access, without
TensorFlow.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from PIL import Image

from jaxpercept import files
from jaxpercept.config.options import Option, check
from jaxpercept.data.sources import Folder
from jaxpercept.data.tfds import INFO
from jaxpercept.errors import InputError, Name
from jaxpercept.images import encoding, fit, load_uint8
from jaxpercept.runtime import threads

_VERSION = "1.0.0"
_LOSSLESS = ("PNG", "TIFF", "BMP", "GIF", "PPM")  # Pillow's names


def encode(data: bytes, name: str, max_side: int | None = None) -> bytes:
    """Returns JPEG or PNG bytes that every TFDS reader shows upright in RGB.

    An upright RGB or grey JPEG that is small enough stays bit for bit the same. Other images are
    decoded and encoded again: those of lossless formats that keep their size as PNG, all others as
    JPEG at quality 95. Raises `InputError` for a broken image.
    """
    pixels = load_uint8(data, name=name)
    kind, plain = encoding(data, name)
    too_large = max_side is not None and max(pixels.shape[:2]) > max_side
    if kind == "JPEG" and plain and not too_large:
        return data
    picture = Image.fromarray(pixels)
    if max_side is not None and too_large:
        height, width = fit(picture.height, picture.width, max_side, "long")
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if kind in _LOSSLESS and not too_large:
        picture.save(out, "PNG")
    else:
        picture.save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()


class PackedImages(tfds.core.GeneratorBasedBuilder):
    """The images of a folder: `image`, the encoded bytes, and `image/filename`, the path in the
    folder."""

    VERSION = tfds.core.Version(_VERSION)
    code_path = None  # keeps tfds from looking for checksum files here

    def __init__(self, *, folder: Folder, max_side: int | None = None, **kwargs: Any):
        self.folder, self.max_side = folder, max_side
        self.left_out: dict[str, str] = {}
        super().__init__(**kwargs)

    def _info(self) -> Any:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "image/filename": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        def one(index: int) -> bytes | InputError:
            try:
                return encode(self.folder.read(index), self.folder.name(index), self.max_side)
            except InputError as error:
                return error

        with threads.pool(min(8, max(2, os.cpu_count() or 2))) as pool:
            for start in range(0, len(self.folder), 256):  # in parts, to bound memory
                part = range(start, min(start + 256, len(self.folder)))
                for index, data in zip(part, pool.map(one, part), strict=True):
                    name = self.folder.names[index]
                    if isinstance(data, InputError):
                        self.left_out[name] = str(data)
                    else:
                        text = os.fsencode(name).decode("utf-8", "backslashreplace")
                        yield text, {"image": io.BytesIO(data), "image/filename": text}


def prepare(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    max_side: int | None = None,
) -> dict[str, Any]:
    """Packs `folder` (nested) into the new directory `out`, which `--data` can then read.

    `max_side` shrinks larger images to this longer side. Returns `path`, `count`, `left_out`
    (broken images and why) and `other` (the folder's other files, counted by suffix). Raises
    `InputError` if more than 10 images and a tenth are broken, or if nothing is left. `out` appears
    whole or not at all."""
    out = Path(out)
    if max_side is not None:
        check(Name("max_side"), max_side, Option(least=16))
    if not Path(folder).is_dir():
        what = "is not a folder" if Path(folder).exists() else "no such folder"
        raise InputError(f"{folder}: {what}; give a folder of images")
    source = Folder(folder)
    files.remove_stale(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out}: exists already; give a new directory or delete it")
    empty = out.is_dir()  # it may be a link, a mount point or the current folder: it stays
    with files.reported(out), files.scratch(out if empty else out.parent) as scratch:
        builder = PackedImages(
            folder=source, max_side=max_side, data_dir=scratch, file_format="array_record"
        )
        broken = builder.left_out
        try:
            _build(builder, scratch)
        except AssertionError:  # tfds has no images to write
            if len(broken) < len(source):
                raise
        if len(broken) > max(10, len(source) / 10) or len(broken) == len(source):
            first = next(iter(broken.values()))
            raise InputError(
                f"{len(broken)} of {len(source)} images cannot be read, the first: {first}"
            )
        made = Path(builder.data_dir)
        if empty:
            for part in sorted(made.iterdir(), key=lambda p: p.name == INFO):  # the last one counts
                os.replace(part, out / part.name)
        else:
            made.chmod(0o777 & ~_umask())
            os.replace(made, out)
    count = len(source) - len(broken)
    return {"path": str(out), "count": count, "left_out": broken, "other": source.left_out}


def _build(builder: PackedImages, scratch: Path) -> None:
    """Runs the builder without its progress bars and announcements, and without looking for it in
    the cloud."""
    bars = tfds.core.utils.tqdm_utils
    shown = bars._active
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_dir=scratch / "downloads", download_config=config)
    except RuntimeError as error:  # ArrayRecord's text has the reason, but no number
        numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)
        for number in numbers:
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number)) from error
        raise
    finally:
        if shown:
            tfds.enable_progress_bar()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
