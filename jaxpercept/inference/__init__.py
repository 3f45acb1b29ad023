"""Apply a trained net: `jaxpercept.load_model(name)` is a jitted function of images.

Images are float RGB in [0, 1], (N, H, W, 3). On top of it: whole folders of files, stylized or
enlarged, and tiles for images that memory cannot hold.
"""
