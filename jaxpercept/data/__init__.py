"""Training data: folders and TFDS datasets to batches of uint8 (N, S, S, 3). The only importer of grain and tfds."""

from jaxpercept.data.packing import prepare
from jaxpercept.data.pipeline import Batches, make_dataset
from jaxpercept.data.sources import describe, open_sources

__all__ = ["Batches", "describe", "make_dataset", "open_sources", "prepare"]
