"""Reading and writing images. An image is float32 RGB (H, W, 3) in [0, 1], row 0 at the top. This
room uses NumPy and Pillow, not JAX.

`read` decodes a file to a `Picture`, and `encode` encodes a `Picture` to a file's bytes.
`load_image` and `save_image` do the same with plain arrays. A new format is one line of `formats`.
"""

from jaxpercept.images.charts import Line, line_chart
from jaxpercept.images.control import check_grain, check_strength, controlled, grain, preserve_color
from jaxpercept.images.formats import (
    READ_SUFFIXES,
    WRITE_SUFFIXES,
    check_writable_name,
    names_a_file,
    written_suffix,
)
from jaxpercept.images.listing import (
    Found,
    find_images,
    left_out_line,
    list_images,
    natural_key,
    walk_images,
)
from jaxpercept.images.metadata import lost
from jaxpercept.images.opening import Source, encoding, fetch, is_grey, size_of
from jaxpercept.images.picture import About, Picture, over_white
from jaxpercept.images.reading import load_image, load_squares, load_style, load_uint8, read
from jaxpercept.images.scaling import Float, fit, resize, square, to_float, to_uint8
from jaxpercept.images.sheets import contact_sheet, match_histogram
from jaxpercept.images.writing import check_quality, encode, save, save_image

__all__ = [
    "READ_SUFFIXES",
    "WRITE_SUFFIXES",
    "About",
    "Float",
    "Found",
    "Line",
    "Picture",
    "Source",
    "check_grain",
    "check_quality",
    "check_strength",
    "check_writable_name",
    "contact_sheet",
    "controlled",
    "encode",
    "encoding",
    "fetch",
    "find_images",
    "fit",
    "grain",
    "is_grey",
    "left_out_line",
    "line_chart",
    "list_images",
    "load_image",
    "load_squares",
    "load_style",
    "load_uint8",
    "lost",
    "match_histogram",
    "names_a_file",
    "natural_key",
    "over_white",
    "preserve_color",
    "read",
    "resize",
    "save",
    "save_image",
    "size_of",
    "square",
    "to_float",
    "to_uint8",
    "walk_images",
    "written_suffix",
]
