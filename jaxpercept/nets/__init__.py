"""The networks: the image transform net f_W and the loss network VGG-16.

Both are pure functions of flat dicts of arrays and of images in [0, 1], NHWC. Here are also their
layers, their convolutions, the styles of a net of many, and the weights files that describe them.
"""
