"""Compares us with other software. Each measurement is its own command:

`python -m benchmarks`            speed against PyTorch and ONNX Runtime, in turns
`python -m benchmarks.bound`      how near our convolutions come to the bound of direct ones
`python -m benchmarks.folder`     stylizing a folder, as a share of the net's own speed
`python -m benchmarks.lbfgs`      our L-BFGS against Torch's, at equal evaluations
`python -m benchmarks.pipeline`   images per second of the input pipeline alone
`python -m benchmarks.quality`    what bfloat16 costs in quality, and what Muon gains
"""
