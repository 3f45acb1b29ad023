"""One net, many styles: shows a photo on the way from one style to another, then to a third.

`python examples/blend_styles.py [PHOTO] [OUT] [NET]` writes a sheet. NET is a multi-style net
(`train.py multistyle`; default: the shipped `multi`). A blend mixes the scales and shifts of the
styles, not their pictures (Dumoulin et al. 2017, section 3.3), so every step is a style of its own.
All share one compiled program.
"""

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

import jaxpercept as jp
from jaxpercept import images
from jaxpercept.images import samples
from jaxpercept.nets import multistyle, weights_file

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)


def blends(net: str, content: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Returns, for each style and the next one of the net, the photo in every blend of the two."""
    styles = multistyle.names(weights_file.read_header(weights_file.resolve(net, "styles")))
    if len(styles) < 2:
        sys.exit(
            f"{net} holds a single style; give a net of several, as `train.py multistyle` makes"
        )
    several = jp.load_model(f"{net}:{styles[0]}")
    rows = {}
    for first, second in itertools.pairwise(styles):
        models = [several.blend(f"{first}={share},{second}={1 - share}") for share in SHARES]
        rows[f"from {first} to {second}"] = [
            np.asarray(model(content[None]))[0] for model in models
        ]
    return rows


def main(
    photo: Path | None = None,
    out: Path = Path("outputs/blend"),
    net: str = "multi",
    size: int = 256,
) -> Path:
    picture = samples.sample_photos()["chelsea"] if photo is None else jp.load_image(photo)
    rows = blends(net, images.resize(picture, size, "long"))
    columns = [f"{share:.0%} / {1 - share:.0%}" for share in SHARES]
    sheet = images.contact_sheet(list(rows.values()), row_labels=list(rows), column_labels=columns)
    return images.save_image(out / "sheet.jpg", sheet)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", nargs="?", type=Path, help="the photo")
    parser.add_argument("out", nargs="?", type=Path, help="folder of the sheet")
    parser.add_argument("net", nargs="?", help="a net of several styles")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    try:
        print("wrote", main(**given))
    except jp.InputError as e:
        sys.exit(f"error: {e}")
