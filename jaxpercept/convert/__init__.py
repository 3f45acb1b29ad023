"""Weights from other frameworks into jaxpercept's files. Importing it imports no jax."""

from jaxpercept.convert.transform_net import FORMATS, convert_transform_net
from jaxpercept.convert.vgg16 import convert_vgg16

__all__ = ["FORMATS", "convert_transform_net", "convert_vgg16"]
