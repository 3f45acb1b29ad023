"""TFDS datasets as sources of training images, read without TensorFlow."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path
from typing import Any

from jaxpercept.errors import InputError

INFO = "dataset_info.json"  # a dataset is complete with it


class Tfds:
    """A TFDS dataset stored as ArrayRecord, read without TensorFlow. It gives the encoded bytes of
    the image feature."""

    def __init__(self, builder: Any, split: str | None, given: str):
        import tensorflow_datasets as tfds

        images = [
            key
            for key, feature in builder.info.features.items()
            if isinstance(feature, tfds.features.Image)
        ]
        if not images:
            raise InputError(f"{given}: no image feature among {', '.join(builder.info.features)}")
        self.key = "image" if "image" in images else images[0]
        if split is None:
            known = list(builder.info.splits)
            split = known[0] if len(known) == 1 else "train"
        self.title = f"{builder.info.full_name}:{split}"
        encoded = {key: tfds.decode.SkipDecoding() for key in images}
        self.bytes = builder.info.dataset_size
        try:
            self.data = builder.as_data_source(split=split, decoders=encoded)
        except (NotImplementedError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{given}: cannot be read ({reason}); it must be stored as array_record"
            ) from error
        if not len(self.data):
            raise InputError(
                f"{given}: split {split!r} is empty; it has {', '.join(builder.info.splits)}"
            )

    def __len__(self) -> int:
        return len(self.data)

    def read(self, index: int) -> bytes:
        try:
            return bytes(self.data[index][self.key])
        except Exception as error:  # readers raise these on a damaged or vanished record file
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"{self.name(index)}: not readable ({reason})") from error

    def name(self, index: int) -> str:
        return f"{self.title}#{index}"

    def identity(self) -> list[str]:
        return [f"{self.title} {len(self)} {self.bytes}"]


def prepared(path: Path) -> list[Path]:
    """Returns the TFDS dataset directories at `path` or up to three folders below (name, config,
    version). Other libraries also write a `dataset_info.json`, but no `features.json` beside it."""
    for below in ("", "*/", "*/*/", "*/*/*/"):
        found = [file.parent for file in sorted(path.glob(below + INFO))]
        if found := [f for f in found if all((f / n).is_file() for n in (INFO, "features.json"))]:
            return found
    return []


def open_folder(folder: Path, given: str) -> Tfds:
    """Opens a dataset's own directory. Raises InputError if it is damaged."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
    except Exception as error:  # protobuf and TFDS raise their own errors if it is damaged
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: not a TFDS dataset that can be read ({reason})") from error
    return Tfds(builder, None, given)


def open_named(given: str) -> Tfds:
    """Opens `tfds:NAME[/CONFIG][:VERSION][:SPLIT]` from its files alone, because the code of many
    builders needs TensorFlow."""
    from tensorflow_datasets.core import read_only_builder, registered

    full, *rest = given.removeprefix("tfds:").split(":")
    wanted: dict[str, str] = {
        "data_dir": os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    }
    if rest and re.fullmatch(r"\d+\.\d+\.\d+", rest[0]):
        wanted["version"] = rest.pop(0)
    name, _, config = full.partition("/")
    if config:
        wanted["config"] = config
    if not re.fullmatch(r"[A-Za-z]\w*", name) or len(rest) > 1:
        raise InputError(
            f"{given}: not a dataset; write tfds:NAME, tfds:NAME/CONFIG or tfds:NAME/CONFIG:SPLIT"
        )
    where = wanted["data_dir"] = os.path.expanduser(wanted["data_dir"])
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            builder = read_only_builder.builder_from_files(name, **wanted)
    except (registered.DatasetNotFoundError, ImportError) as error:
        raise InputError(
            f"{given}: not prepared under {where} (set TFDS_DATA_DIR if it is elsewhere); prepare "
            "it once with"
            f" `tfds build {full} --file_format=array_record`, or unpack its images and give the "
            "folder"
        ) from error
    return Tfds(builder, rest[0] if rest else None, given)
