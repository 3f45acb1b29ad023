"""One net, many styles: a photo on the way from one style to another, and the same towards a third.

`python examples/blend_styles.py [PHOTO] [OUT] [NET]` writes a sheet. NET is a net of several styles (`train.py
multistyle`; default: the shipped `multi`). A blend mixes the scales and shifts of the styles, not their pictures
(Dumoulin et al. 2017, section 3.3), so every step is a style of its own; all share one compiled program.
"""

import itertools
import sys
from pathlib import Path

import numpy as np

import jaxpercept as jp
from jaxpercept import images, samples

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)


def main(photo: Path | None = None, out: Path = Path("outputs/blend"), net: str = "multi", size: int = 256) -> Path:
    picture = samples.sample_photos()["chelsea"] if photo is None else jp.load_image(photo)
    content = images.resize(picture, size, "long")
    several = jp.load_model(f"{net}:{_names(net)[0]}")
    rows, labels = [], []
    for first, second in itertools.pairwise(several.styles):
        blends = [several.blend(f"{first}={share},{second}={1 - share}") for share in SHARES]
        rows.append([np.asarray(model(content[None]))[0] for model in blends])
        labels.append(f"from {first} to {second}")
    columns = [f"{share:.0%} / {1 - share:.0%}" for share in SHARES]
    return images.save_image(out / "sheet.jpg", images.contact_sheet(rows, row_labels=labels, column_labels=columns))


def _names(net: str) -> tuple[str, ...]:
    from jaxpercept import multistyle, weights_file

    return multistyle.names(weights_file.read_header(weights_file.resolve(net, "styles")))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    print("wrote", main(*map(Path, arguments[:2]), *arguments[2:3]))
