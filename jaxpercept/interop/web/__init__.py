"""Writes a static site that applies nets in the browser: pages and scripts in `static/`, nets as
ONNX, and onnxruntime-web. The site asks no other server, and photos never leave the visitor's
machine.

`site.write` makes the folder, `packages` finds the runtime, which we cannot ship, and `serve` shows
a folder on this machine.
"""
