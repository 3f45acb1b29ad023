"""A static site that applies nets in the browser: pages and scripts in `static/`, nets as ONNX, and
onnxruntime-web. Nothing on it asks another server, and photos never leave the visitor's machine.

`site.write` makes the folder; `packages` finds the runtime, which is not ours to ship; `serve`
shows a folder on this machine.
"""
