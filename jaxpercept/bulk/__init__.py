"""Stylize and enlarge very many images on a cluster. Ray Data applies the nets, and a manifest
beside the outputs records what is done.

`stylize` and `upscale` are steps of a Ray Data pipeline. `Worker` is a callable for any engine that
calls Python with batches; `stylizing` and `upscaling_by` make the recipes that it applies.
`job.run` is the command `jaxpercept bulk`.
"""

from jaxpercept.bulk.datasets import stylize, upscale
from jaxpercept.bulk.recipe import Recipe, stylizing, upscaling_by
from jaxpercept.bulk.work import Worker

__all__ = ["Recipe", "Worker", "stylize", "stylizing", "upscale", "upscaling_by"]
