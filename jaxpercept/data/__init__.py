"""Turns folders and TFDS datasets into batches of training data, dicts of uint8 (N, S, S, 3). No
other room imports grain and tfds. `packing`, which imports tfds, is named in full by who needs it.
"""

from jaxpercept.data.loading import Fixed
from jaxpercept.data.pipeline import Batches, make_dataset
from jaxpercept.data.resident import Photos, Pick
from jaxpercept.data.sources import Files, Source, describe, fingerprint, open_sources
from jaxpercept.data.superres import make_pairs

__all__ = [
    "Batches",
    "Files",
    "Fixed",
    "Photos",
    "Pick",
    "Source",
    "describe",
    "fingerprint",
    "make_dataset",
    "make_pairs",
    "open_sources",
]
