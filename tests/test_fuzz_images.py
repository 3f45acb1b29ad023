"""Damaged image files are read or refused in one line. Nothing else is raised, and none takes much
longer than the whole file. The default runs a few mutants of each kind, `-m slow` all of them.
"""

import time
import warnings

import numpy as np
import pytest
from PIL import Image
from test_picture import P3, exif_of_a_phone, kinds_of_files, saved, with_chunks

from jaxpercept import images
from jaxpercept.errors import InputError

y, x = np.mgrid[:40, :56]
PHOTO = np.stack([x * 4, y * 6, 220 - x * 2 - y * 2], axis=-1).astype(np.uint8)


def whole_files():
    files = kinds_of_files(PHOTO)
    files["exif.jpg"] = saved(PHOTO, "JPEG", exif=exif_of_a_phone(), dpi=(300, 300), comment=b"hi")
    files["exif.png"] = saved(PHOTO, "PNG", exif=exif_of_a_phone())
    files["gamma.png"] = with_chunks(PHOTO, gAMA=0.5, cHRM=P3)
    avif = saved(PHOTO, "AVIF")
    files["nclx.avif"] = avif.replace(b"nclx\0\1", b"nclx\0\14")
    files["cicp.png"] = with_chunks(PHOTO, cICP=bytes((12, 13, 0, 1)))
    files["two.mpo"] = saved(PHOTO, "MPO", save_all=True, append_images=[Image.fromarray(PHOTO)])
    files["two.tif"] = saved(PHOTO, "TIFF", save_all=True, append_images=[Image.fromarray(PHOTO)])
    return files


def mutant(data, random):
    """Changes a few bytes or a range, cuts out or doubles a piece, or cuts off the end."""
    data = bytearray(data)
    at, length = int(random.integers(len(data))), int(random.integers(1, 40))
    how = random.integers(5)
    if how == 0:
        for _ in range(int(random.integers(1, 9))):  # often in the header
            data[int(len(data) * random.random() ** 3)] = int(random.integers(256))
    elif how == 1:
        data[at : at + length] = random.bytes(length)
    elif how == 2:
        del data[at : at + length]
    elif how == 3:
        data[at:at] = data[at : at + length]
    else:
        del data[at:]
    return bytes(data)


def tried(data, name):
    """Reads and writes a file; returns the outcome as one word, and the seconds it took."""
    begun = time.process_time()
    try:
        picture = images.read(data, name=name, max_pixels=4_000_000)
        images.encode(picture, images.written_suffix(name))
        images.load_uint8(data, short=20, name=name, max_pixels=4_000_000)
        images.size_of(data, name=name, max_pixels=4_000_000)
        outcome = "read"
    except InputError as error:
        one_line = "\n" not in str(error) and str(error).startswith(name)
        outcome = "refused" if one_line else str(error)
    return outcome, time.process_time() - begun


@pytest.mark.parametrize("count", [4, pytest.param(300, marks=pytest.mark.slow)])
def test_damaged_files_are_read_or_refused(count):
    outcomes = []
    for number, (name, data) in enumerate(whole_files().items()):
        assert tried(data, name)[0] == "read"
        random = np.random.default_rng(number)
        with warnings.catch_warnings():  # Pillow warns about what it skips
            warnings.simplefilter("ignore")
            outcomes += [(*tried(mutant(data, random), name), name) for _ in range(count)]
    print(len(outcomes), {o: sum(o == r[0] for r in outcomes) for o in ("read", "refused")})
    print("slowest:", max((seconds, name) for _, seconds, name in outcomes))
    assert {outcome for outcome, _, _ in outcomes} == {"read", "refused"}
