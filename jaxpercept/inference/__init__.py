"""Applies trained nets: `jaxpercept.load_model(name)` returns a jitted function of images.

Images are float RGB in [0, 1], (N, H, W, 3). On top of it, this room stylizes or enlarges whole
folders of files and films, and cuts images that memory cannot hold into tiles.
"""
