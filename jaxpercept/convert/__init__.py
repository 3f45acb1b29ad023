"""Weights from other frameworks into jaxpercept's files. Imports no jax."""

from jaxpercept.convert.vgg16 import convert_vgg16

__all__ = ["convert_vgg16"]
