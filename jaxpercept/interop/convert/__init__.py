"""Converts weights from other frameworks to jaxpercept's files. Importing it imports no jax."""

from jaxpercept.interop.convert.transform_net import FORMATS, convert_transform_net
from jaxpercept.interop.convert.vgg16 import convert_vgg16

__all__ = ["FORMATS", "convert_transform_net", "convert_vgg16"]
