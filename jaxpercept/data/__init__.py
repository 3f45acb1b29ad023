"""Training data: folders and TFDS datasets to batches of uint8 (N, S, S, 3). The only importer of
grain and tfds.
"""

from jaxpercept.data.packing import prepare
from jaxpercept.data.pipeline import Batches, make_dataset
from jaxpercept.data.sources import Files, describe, open_sources
from jaxpercept.data.superres import Pairs, make_pairs

__all__ = [
    "Batches",
    "Files",
    "Pairs",
    "describe",
    "make_dataset",
    "make_pairs",
    "open_sources",
    "prepare",
]
