"""What can be chosen where a trained net is applied to images."""

RUNTIMES = ("jax", "openvino", "onnxruntime")
MAX_PIXELS = 400_000_000  # of an image that is read, and of one that a net makes
BATCH = 4  # images or frames of equal size that a net takes at once
QUALITY = 95  # of JPEG, WebP and AVIF
EXPORTED = (".onnx", ".stablehlo")  # the formats of exported nets
