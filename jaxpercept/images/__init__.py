"""Images in and out. An image is float32 RGB (H, W, 3) in [0, 1], row 0 at the top. NumPy and
Pillow only, no JAX.
"""

from jaxpercept.images.charts import Line, line_chart
from jaxpercept.images.control import check_grain, check_strength, controlled, grain, preserve_color
from jaxpercept.images.files import (
    MAX_PIXELS,
    WRITE_SUFFIXES,
    check_writable_name,
    encoding,
    is_grey,
    load_image,
    load_rgba,
    load_uint8,
    over_white,
    save_image,
    size_of,
)
from jaxpercept.images.listing import READ_SUFFIXES, list_images, natural_key, walk_images
from jaxpercept.images.scaling import Float, fit, resize, square, to_float, to_uint8
from jaxpercept.images.sheets import contact_sheet, match_histogram

__all__ = [
    "MAX_PIXELS",
    "READ_SUFFIXES",
    "WRITE_SUFFIXES",
    "Float",
    "Line",
    "check_grain",
    "check_strength",
    "check_writable_name",
    "contact_sheet",
    "controlled",
    "encoding",
    "fit",
    "grain",
    "is_grey",
    "line_chart",
    "list_images",
    "load_image",
    "load_rgba",
    "load_uint8",
    "match_histogram",
    "natural_key",
    "over_white",
    "preserve_color",
    "resize",
    "save_image",
    "size_of",
    "square",
    "to_float",
    "to_uint8",
    "walk_images",
]
