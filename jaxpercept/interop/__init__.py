"""Imports weights from other projects and exports nets to other runtimes.

`convert` reads VGG-16 and style nets of other projects exactly. `export` writes ONNX and StableHLO
and runs each file before it is kept. `web` writes a site that runs nets in the browser.
"""
