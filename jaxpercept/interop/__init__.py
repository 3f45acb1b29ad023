"""Weights from elsewhere and nets for elsewhere.

`convert` reads VGG-16 and style nets of other projects exactly; `export` writes ONNX and StableHLO
and runs them back before the file is kept; `web` writes a site that runs nets in the browser.
"""
