"""The networks: the image transform net f_W and the loss network VGG-16.

Both are pure functions of flat dicts of arrays and of images in [0, 1], NHWC. This room also holds
their layers, their convolutions, the styles of multi-style nets, and the weights files.
"""
