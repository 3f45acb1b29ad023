"""Stylize and enlarge very many images, on a cluster: Ray Data applies the nets, and the manifest
beside the outputs knows what is done.

`stylize` and `upscale` map a Ray dataset; `Worker` is a callable for any engine that calls Python
with batches; `job.run` is the command `jaxpercept bulk`.
"""
