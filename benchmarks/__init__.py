"""Measurements beside other software, each run by its own command:

`python -m benchmarks`            speed against PyTorch and ONNX Runtime, in turns
`python -m benchmarks.lbfgs`      our L-BFGS against Torch's, at equal evaluations
`python -m benchmarks.pipeline`   images a second of the input pipeline alone
`python -m benchmarks.quality`    what bfloat16 costs in quality, and what Muon gains
"""
