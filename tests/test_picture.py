"""Contents of files besides plain RGB are read and written again: colour profiles, transparency,
grey, 16 bits, Exif, and the notes on what was left out.
"""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import profiles
import pytest
from helpers import png
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from jaxpercept import images
from jaxpercept.errors import InputError


@pytest.fixture(scope="module")
def photo():
    """Returns a smooth, colourful uint8 image, 40 high and 56 wide."""
    y, x = np.mgrid[:40, :56]
    return np.stack([x * 4, y * 6, 220 - x * 2 - y * 2], axis=-1).astype(np.uint8)


def saved(image, kind, **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def shown(data):
    """Returns (H, W, 3) of 255 as a colour-managed viewer shows it, by Pillow alone."""
    image = opened(data)
    if profile := image.info.get("icc_profile"):
        theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        ours = ImageCms.createProfile("sRGB")
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        image = ImageCms.profileToProfile(image, theirs, ours, outputMode=mode)
    elif image.mode == "I;16":
        return np.repeat(np.asarray(image, np.float64)[..., None] / 257, 3, -1)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"), np.float64)


def kinds_of_files(photo):
    rgb, grey = Image.fromarray(photo), Image.fromarray(photo[..., 0])
    alpha = np.linspace(0, 255, photo[..., 0].size).reshape(photo.shape[:2]).astype(np.uint8)
    rgba = Image.fromarray(np.dstack([photo, alpha]))
    return {
        "display_p3.jpg": saved(rgb, "JPEG", icc_profile=profiles.rgb(), quality=98),
        "display_p3.png": saved(rgb, "PNG", icc_profile=profiles.rgb()),
        "gamma_1.8.tif": saved(rgb, "TIFF", icc_profile=profiles.rgb(gamma=1.8)),
        "grey_gamma.png": saved(grey, "PNG", icc_profile=profiles.grey(1.4)),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG", icc_profile=profiles.cmyk(), quality=98),
        "cmyk_plain.tif": saved(rgb.convert("CMYK"), "TIFF"),
        "palette.gif": saved(rgb.quantize(64), "GIF"),
        "alpha.png": saved(rgba, "PNG"),
        "alpha.webp": saved(rgba, "WEBP", quality=98),
        "grey_alpha.png": saved(rgba.convert("LA"), "PNG"),
        "grey16.png": saved(Image.fromarray(photo[..., 0].astype(np.uint16) * 250), "PNG"),
        "plain.avif": saved(rgb, "AVIF", quality=98),
        "plain.bmp": saved(rgb, "BMP"),
        "plain.jfif": saved(rgb, "JPEG", quality=98),
    }


def test_every_kind_of_file_comes_back_as_a_viewer_shows_it(photo):
    for name, data in kinds_of_files(photo).items():
        picture = images.read(data, name=name)
        expected = shown(data)
        assert np.abs(255 * picture.over_white() - expected).mean() < 0.6, name
        written = images.encode(picture, images.written_suffix(name))
        assert np.abs(shown(written) - expected).mean() < 2, name
        small = images.load_uint8(data, short=20, name=name).astype(float)
        assert np.abs(small - np.asarray(expected.reshape(20, 2, 28, 2, 3).mean((1, 3)))).mean() < 2


def test_the_profiles_of_these_tests_do_something(photo):
    for name, data in kinds_of_files(photo).items():
        if profile := opened(data).info.get("icc_profile"):
            bare = np.asarray(opened(data).convert("RGB"), np.float64)
            assert profile
            assert np.abs(shown(data) - bare).mean() > 2, name


def test_an_srgb_profile_changes_no_bit_and_a_broken_one_is_said(photo):
    ours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = images.read(saved(photo, "PNG", icc_profile=ours))
    np.testing.assert_array_equal(images.to_uint8(picture.pixels), photo)
    for profile in (b"no profile at all", profiles.cmyk()):
        picture = images.read(saved(photo, "PNG", icc_profile=profile))
        np.testing.assert_array_equal(images.to_uint8(picture.pixels), photo)
        assert [note.split(" (")[0] for note in picture.notes] == [
            "its colour profile cannot be used"
        ]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
def test_what_is_written_is_tagged_as_srgb_with_equal_bytes(photo, suffix):
    picture = images.read(saved(photo, "PNG"))
    data = images.encode(picture, suffix)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(opened(data).info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert images.encode(picture, suffix) == data
    assert "icc_profile" not in opened(images.encode(picture, suffix, strip=True)).info


def exif_of_a_phone():
    made = Image.Exif()
    made[0x0112], made[0x010F], made[0x8298], made[0x0132] = 6, "Cam", "(c) me", "2020:01:02"
    made[0x8769] = {0x9003: "2020:01:02", 0xA002: 56, 0xA003: 40, 0xA001: 65535, 0x927C: b"secret"}
    made[0x8825] = {1: "N", 2: (48.0, 30.0, 0.0)}
    data = made.tobytes()
    assert data[6:10] == b"MM\0*"
    # A thumbnail is a second directory, which the first one's end points to.
    thumbnail = saved(np.zeros((8, 8, 3), np.uint8), "JPEG")
    at = len(data) - 6
    first = int.from_bytes(data[10:14])
    end = 6 + first + 2 + 12 * int.from_bytes(data[6 + first : 8 + first])
    data = data[:end] + at.to_bytes(4) + data[end + 4 :]
    entries = [(0x0201, 4, 1, at + 30), (0x0202, 4, 1, len(thumbnail))]
    data += len(entries).to_bytes(2)
    for tag, kind, count, value in entries:
        data += tag.to_bytes(2) + kind.to_bytes(2) + count.to_bytes(4) + value.to_bytes(4)
    return data + (0).to_bytes(4) + thumbnail


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
def test_exif_goes_on_with_the_new_size_and_without_the_thumbnail(photo, suffix):
    exif = exif_of_a_phone()
    source = saved(photo, "JPEG", exif=exif, dpi=(300, 300), comment=b"hi")
    assert opened(source).getexif().get_ifd(ExifTags.IFD.IFD1)  # the thumbnail is there
    picture = images.read(source)
    assert picture.pixels.shape == (56, 40, 3)
    data = images.encode(picture.replaced(np.zeros((112, 80, 3), np.float32)), suffix)
    found = opened(data).getexif()
    assert (found[0x010F], found[0x8298], found[0x0132]) == ("Cam", "(c) me", "2020:01:02")
    assert found.get(0x0112, 1) == 1
    inner = found.get_ifd(0x8769)
    assert (inner[0x9003], inner[0xA002], inner[0xA003], inner[0xA001]) == (
        "2020:01:02",
        80,
        112,
        1,
    )
    assert 0x927C not in inner
    assert found.get_ifd(0x8825)[2] == (48.0, 30.0, 0.0)
    assert not found.get_ifd(ExifTags.IFD.IFD1)
    assert b"secret" not in data
    if suffix in (".jpg", ".png", ".tif"):
        assert np.allclose(opened(data).info["dpi"], 300, atol=0.1)
    bare = images.encode(picture, suffix, strip=True)
    described = {0x010F, 0x8298, 0x0132, 0x8769, 0x8825}
    assert not described & set(opened(bare).getexif())
    assert "dpi" not in opened(bare).info or suffix == ".tif"
    assert b"Cam" not in bare


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_is_no_reason_to_refuse(photo):
    data = saved(photo, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    assert images.read(data).pixels.shape == photo.shape


def test_a_second_picture_in_the_file_is_dropped(photo):
    data = saved(photo, "MPO", save_all=True, append_images=[Image.fromarray(photo[::-1].copy())])
    assert opened(data).n_frames == 2
    picture = images.read(data, name="x.mpo")
    assert picture.notes == ()
    written = images.encode(picture, images.written_suffix("x.mpo"))
    assert opened(written).format == "JPEG"


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_only_the_first_frame_is_taken_and_it_is_said(photo, kind):
    others = [Image.fromarray(photo[::-1].copy()), Image.fromarray(255 - photo)]
    picture = images.read(saved(photo, kind, save_all=True, append_images=others))
    what = "page" if kind == "TIFF" else "frame"
    assert picture.notes[0].startswith(f"only its first {what} is read")
    assert ("infer.py video" in picture.notes[0]) == (kind != "TIFF")
    assert np.abs(255 * picture.over_white() - photo).mean() < 12
    assert images.read(saved(photo, kind)).notes == ()


def test_colour_of_16_bits_says_that_it_was_cut(photo):
    from test_images import png16

    picture = images.read(png16(photo.astype(np.uint16) * 257))
    assert picture.notes == ("its 16 bits per colour are cut to 8 bits",)
    assert picture.bits == 8


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_stays_and_grey_stays_grey(suffix):
    levels = np.linspace(0, 65535, 40 * 56).reshape(40, 56).astype(np.uint16)
    picture = images.read(saved(Image.fromarray(levels), "PNG"))
    assert (picture.grey, picture.bits) == (True, 16)
    back = opened(images.encode(picture, suffix))
    assert back.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(back), levels)
    assert opened(images.encode(picture, ".jpg")).mode == "L"
    coloured = picture.replaced(picture.pixels * np.array([1, 0.5, 0.2], np.float32))
    assert opened(images.encode(coloured, suffix)).mode == "RGB"


def test_colours_are_bled_under_transparency():
    """The picture is a white disc on transparent black. The net sees white everywhere."""
    y, x = np.mgrid[:48, :64]
    inside = (y - 20) ** 2 + (x - 30) ** 2 < 15**2
    rgba = np.zeros((48, 64, 4), np.uint8)
    rgba[inside] = (250, 240, 30, 255)
    picture = images.read(saved(rgba, "PNG"))
    assert np.abs(255 * picture.pixels - [250, 240, 30]).max() < 1
    np.testing.assert_array_equal(picture.alpha, inside)
    rgba[..., 3] = 0
    assert images.read(saved(rgba, "PNG")).over_white().min() == 1
    half = np.dstack([np.full((48, 64, 3), 77, np.uint8), np.full((48, 64), 3, np.uint8)])
    assert np.abs(255 * images.read(saved(half, "PNG")).pixels - 77).max() < 0.01


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_the_size_is_that_of_the_upright_picture(tmp_path, photo, kind, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / "x"
    path.write_bytes(saved(photo, kind, exif=exif))
    assert images.size_of(path) == images.load_image(path).shape[:2]
    assert images.size_of(path) == ((40, 56) if turn < 5 else (56, 40))
    small = images.read(path, size=28)
    assert small.pixels.shape == ((20, 28, 3) if turn < 5 else (28, 20, 3))


def test_a_scaled_picture_is_the_picture_scaled(photo):
    large = np.asarray(Image.fromarray(photo).resize((560, 400), Image.Resampling.BICUBIC))
    for data in (saved(large, "PNG"), saved(large, "JPEG", quality=97)):
        for size in (28, 100, 1120):
            whole = images.resize(images.load_image(data), size, "long")
            assert np.abs(images.read(data, size=size).pixels - whole).mean() < 1.5 / 255
        assert images.read(data, size=28, uint8=True).pixels.dtype == np.uint8
    with pytest.raises(InputError, match=r"1120x800 is 896,000 pixels, more than.*smaller --size"):
        images.read(data, size=1120, max_pixels=800_000)


BOMB = """
import io, resource, sys
import numpy as np
from PIL import Image
from jaxpercept import images
from jaxpercept.errors import InputError
import struct
data = b"GIF89a" + struct.pack("<HH", 10000, 10000) + b"\\xf0\\0\\0" + b"\\0\\0\\0\\xff\\xff\\xff"
data += b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\\0\\x02\\x02\\x44\\x01\\0;"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    assert images.read(data, size=256).pixels.shape == (256, 256, 3)
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
room = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    images.read(data, name="bomb.gif")
except InputError as error:
    print(error)
"""


def test_a_small_file_of_many_pixels_is_shrunk_within_bounds_and_memory_errors_are_said():
    found = subprocess.run([sys.executable, "-c", BOMB], capture_output=True, text=True, check=True)
    megabytes, line = found.stdout.splitlines()[-2:]
    assert int(megabytes) < 450
    assert line == "bomb.gif: too large for memory; shrink it"


def test_what_a_format_cannot_hold_is_said():
    wide = images.Picture(np.zeros((2, 16_400, 3), np.uint8))
    with pytest.raises(
        InputError, match=r"16400x2 is too large for WEBP, which holds 16,383 pixels"
    ):
        images.encode(wide, ".webp")
    assert opened(images.encode(wide, ".png")).size == (16_400, 2)


def test_quality_is_that_of_the_lossy_formats(photo):
    picture = images.read(saved(photo, "PNG"))
    for suffix in (".jpg", ".webp", ".avif"):
        low, high = (images.encode(picture, suffix, quality=q) for q in (20, 90))
        assert len(low) < len(high)
    with pytest.raises(InputError, match="quality 101 is not allowed; give 1 to 100"):
        images.encode(picture, ".jpg", quality=101)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        *((name, True) for name in ("x.png", "x.jfif", "x.txt", "a/x.exr", "x.mp4")),
        *((name, False) for name in ("styled", "styled.v2", "2024.11", "x.png/")),
    ],
)
def test_names_of_files_and_of_folders_are_told_apart(name, file):
    assert images.names_a_file(name) == file


def test_a_tiff_of_floats_is_read(photo):
    import tifffile

    def written(values):
        out = io.BytesIO()
        tifffile.imwrite(out, values.astype(np.float32), photometric="rgb")
        return out.getvalue()

    picture = images.read(written(photo / 255))
    np.testing.assert_array_equal(images.to_uint8(picture.pixels), photo)
    assert picture.notes == ("its floating-point colour is cut to 8 bits",)
    assert images.size_of(written(photo / 255)) == (40, 56)
    with pytest.raises(InputError, match=r"outside \[0, 1\]; save it as 8 or 16 bit"):
        images.read(written(photo))
    with pytest.raises(InputError, match="more than the limit of 2,239"):
        images.read(written(photo / 255), max_pixels=40 * 56 - 1)
    with pytest.raises(InputError, match="not an image that can be read"):
        images.read(b"II*\0" + b"\0" * 50)


def test_the_size_of_a_png_takes_its_header_alone(photo, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    plain, turned = saved(photo, "PNG"), saved(photo, "PNG", exif=exif)
    end = turned.index(b"IDAT") - 4
    at = turned.index(b"eXIf") - 4
    assert at < end
    length = 12 + int.from_bytes(turned[at : at + 4])
    chunk, rest = turned[at : at + length], turned[:at] + turned[at + length :]
    late = rest[:-12] + chunk + rest[-12:]  # after the pixels, which is allowed
    for data in (turned, late):
        assert images.size_of(data) == (56, 40)
        assert images.read(data).pixels.shape == (56, 40, 3)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert images.size_of(plain) == (40, 56)


def test_a_copyright_that_stands_in_xmp_or_iptc_goes_into_exif(photo):
    xmp = b"<x:xmpmeta><dc:creator><rdf:Seq><rdf:li>Ann &amp; Bo</rdf:li></rdf:Seq></dc:creator>"
    xmp += b'<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">(c) A</rdf:li></rdf:Alt></dc:rights>'
    written = images.encode(images.read(saved(photo, "JPEG", xmp=xmp)), ".jpg")
    found = opened(written).getexif()
    assert (found[0x013B], found[0x8298]) == ("Ann & Bo", "(c) A")
    assert "xmp" not in opened(written).info
    entries = b"".join(
        b"\x1c\x02" + bytes([k, 0, len(v)]) + v for k, v in ((80, b"Ann"), (116, b"(c) B"))
    )
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(entries).to_bytes(4) + entries
    block += b"\0" * (len(entries) % 2)
    plain = saved(photo, "JPEG")
    data = plain[:2] + b"\xff\xed" + (len(block) + 2).to_bytes(2) + block + plain[2:]
    found = opened(images.encode(images.read(data), ".jpg")).getexif()
    assert (found[0x013B], found[0x8298]) == ("Ann", "(c) B")


def test_a_tiff_of_floats_is_turned_and_keeps_its_texts(photo):
    import tifffile

    out = io.BytesIO()
    tags = [(274, "H", 1, 6, True), (33432, "s", 0, "Ada", True)]
    values = (photo / 255).astype(np.float32)
    tifffile.imwrite(out, values, photometric="rgb", extratags=tags)
    picture = images.read(out.getvalue())
    np.testing.assert_array_equal(images.to_uint8(picture.pixels), np.rot90(photo, -1))
    assert images.size_of(out.getvalue()) == (56, 40)
    assert picture.about.main[ExifTags.Base.Copyright] == "Ada"


def test_tiffs_of_16_bits_that_pillow_misreads(photo):
    """Planes, white as zero, fewer bits, and signed values."""
    import tifffile

    def written(values, **how):
        out = io.BytesIO()
        tifffile.imwrite(out, values, **how)
        return out.getvalue()

    deep = photo.astype(np.uint16) * 257
    planes = written(np.moveaxis(deep, -1, 0), photometric="rgb", planarconfig="separate")
    picture = images.read(planes)
    np.testing.assert_array_equal(images.to_uint8(picture.pixels), photo)
    assert picture.notes == ("its 16 bits per colour are cut to 8 bits",)
    how = {"photometric": "rgb", "planarconfig": "separate", "extrasamples": [2]}
    alpha = images.read(written(np.moveaxis(deep[..., [0, 1, 2, 0]], -1, 0), **how)).alpha
    np.testing.assert_array_equal(images.to_uint8(alpha), photo[..., 0])
    with pytest.raises(InputError, match="uint16, cielab, none"):
        images.read(written(deep, photometric="cielab"))
    for values in (deep[..., 0], (photo[..., 0] / 255).astype(np.float32)):
        inverse = images.read(written(values, photometric="miniswhite")).pixels[..., 0]
        np.testing.assert_allclose(inverse, 1 - photo[..., 0] / 255, atol=1e-6)
    with pytest.raises(InputError, match="signed 16-bit values; save it as unsigned"):
        images.read(written(deep[..., 0].astype(np.int16), photometric="minisblack"))
    small = photo[..., 0]
    two = np.dstack([small, np.full_like(small, 255)])
    how = {"photometric": "minisblack"}
    for data in (
        *(written((small / 255).astype(kind), **how) for kind in ("float16", "float64")),
        written(two, extrasamples=[1], **how),  # premultiplied
        written(np.moveaxis(two, -1, 0), extrasamples=[2], planarconfig="separate", **how),
    ):
        picture = images.read(data)
        np.testing.assert_array_equal(images.to_uint8(picture.pixels)[..., 2], small)
        assert picture.grey
    cmyka = written(photo[..., [0, 1, 2, 0, 1]], photometric="separated", extrasamples=[2])
    for values in (cmyka, written(small.astype(np.int8), **how)):
        with pytest.raises(InputError, match=r"int8, .*, none\) cannot be read; save it as 8-bit"):
            images.read(values)


def test_grey_of_12_bits():
    """By hand: tifffile writes none. Two pixels, 4095 and 0, in three bytes."""
    tags = [
        (256, 2),
        (257, 1),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 1),
        (279, 3),
    ]
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    data = b"II*\0" + struct.pack("<I", 12) + b"\xff\xf0\0\0"
    data += struct.pack("<H", len(tags)) + entries + bytes((0, 0, 0, 0))
    assert images.read(data).pixels[0, :, 0].tolist() == [1, 0]


def test_grey_with_transparency_follows_its_profile(photo):
    grey, profile = Image.fromarray(photo[..., 0]), profiles.grey(1.8)
    both = grey.convert("LA")
    both.putalpha(Image.fromarray(np.full_like(photo[..., 0], 200)))
    plain = images.read(saved(grey, "PNG", icc_profile=profile))
    clear = images.read(saved(both, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(clear.pixels, plain.pixels)
    assert (clear.notes, np.unique(images.to_uint8(clear.alpha))) == ((), [200])


def light(x):
    """Returns the linear light of sRGB values, IEC 61966-2-1."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def srgb(x):
    """Returns the sRGB values of linear light."""
    x = np.clip(x, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def with_chunks(image, profile=None, **chunks):
    """Returns a PNG with these chunks: one number, or several, times 100,000."""
    info = PngImagePlugin.PngInfo()
    for name, value in chunks.items():
        if not isinstance(value, bytes):
            value = np.rint(np.atleast_1d(value) * 1e5).astype(">u4").tobytes()
        info.add(name.encode(), value)
    return saved(image, "PNG", pnginfo=info, icc_profile=profile)


# To linear sRGB from linear Display P3, CSS Color 4, section 18.
FROM_P3 = np.array(
    [[1.22494, -0.22494, 0.0], [-0.04206, 1.04206, 0.0], [-0.01964, -0.07864, 1.09827]]
)
P3 = [0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06]  # white, red, green, blue
SRGB = [0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06]


@pytest.mark.parametrize("gamma", [1.0, 0.55, 0.35])
def test_a_png_that_tells_its_gamma(photo, gamma):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    for given in (photo, ramp, ramp.astype(np.uint16) * 257):
        picture = images.read(with_chunks(given, gAMA=gamma))
        wanted = srgb((given / np.iinfo(given.dtype).max) ** (1 / gamma))
        wanted = wanted if given.ndim == 3 else np.repeat(wanted[..., None], 3, -1)
        assert np.abs(picture.pixels - wanted).max() < 1 / 255
        assert (picture.grey, picture.notes) == (given.ndim == 2, ())
        half = images.read(with_chunks(given, gAMA=gamma, sRGB=b"\0"))
        np.testing.assert_array_equal(half.pixels, images.read(saved(given, "PNG")).pixels)


def test_a_png_that_tells_its_primaries(photo):
    plain = images.read(saved(photo, "PNG")).pixels
    usual, code = {"gAMA": 1 / 2.2}, {"cICP": bytes((1, 13, 0, 1))}
    for chunks in usual, {**usual, "cHRM": SRGB}, code:
        np.testing.assert_array_equal(images.read(with_chunks(photo, **chunks)).pixels, plain)
    wanted = srgb(light(photo / 255) @ FROM_P3.T)
    made = images.read(with_chunks(photo, cICP=bytes((12, 13, 0, 1)), gAMA=1.0))
    assert np.abs(made.pixels - wanted).max() < 1 / 255
    assert np.abs(made.pixels - plain).max() > 10 / 255
    made = images.read(with_chunks(photo, gAMA=0.5, cHRM=P3))
    assert np.abs(made.pixels - srgb((photo / 255) ** 2 @ FROM_P3.T)).max() < 1 / 255
    assert images.encoding(with_chunks(photo, gAMA=0.5), "x") == ("PNG", False)


@pytest.mark.parametrize(
    ("chunks", "note"),
    [
        (
            {"cICP": bytes((9, 16, 0, 1))},
            ("its high dynamic range (PQ) is read as if it were sRGB",),
        ),
        (
            {"gAMA": 0.7, "cHRM": [0.3] * 8},
            ("its colours cannot be used (chromaticities in a line); taken as sRGB",),
        ),
        (
            {"gAMA": 0.7, "cHRM": [0.3, 0.0] * 4},
            ("its colours cannot be used (a chromaticity without light); taken as sRGB",),
        ),
        ({"gAMA": 0.0}, ()),
        ({"cHRM": P3}, ()),
        ({"cICP": bytes((255, 255, 0, 1))}, ()),
    ],
)
def test_colours_of_a_png_that_cannot_be_used(photo, chunks, note):
    picture = images.read(with_chunks(photo, **chunks))
    assert picture.notes == note
    np.testing.assert_array_equal(picture.pixels, images.read(saved(photo, "PNG")).pixels)


def test_a_profile_beside_a_high_dynamic_range(photo):
    """Section 4.3: who cannot use cICP uses the profile."""
    profile = profiles.rgb()
    plain = images.read(saved(photo, "PNG", icc_profile=profile))
    made = images.read(with_chunks(photo, cICP=bytes((9, 16, 0, 1)), profile=profile))
    np.testing.assert_array_equal(made.pixels, plain.pixels)
    assert made.notes == ("its high dynamic range (PQ) is read by its colour profile",)


def test_an_avif_that_names_its_colours_by_numbers(photo):
    def named(primaries, transfer, **more):
        data = saved(photo, "AVIF", quality=100, **more)
        at = data.index(b"nclx") + 4
        codes = primaries.to_bytes(2, "big") + transfer.to_bytes(2, "big")
        return images.read(data[:at] + codes + data[at + 4 :])

    plain = images.read(saved(photo, "AVIF", quality=100)).pixels
    for codes in (1, 13), (1, 1), (2, 2), (250, 13):
        np.testing.assert_array_equal(named(*codes).pixels, plain)
    wanted = np.clip(srgb(light(plain) @ FROM_P3.T), 0, 1)
    assert np.abs(named(12, 13).pixels - wanted).max() < 1.5 / 255
    assert np.abs(plain - wanted).max() > 10 / 255
    made = named(9, 16)
    np.testing.assert_array_equal(made.pixels, plain)
    assert made.notes == ("its high dynamic range (PQ) is read as if it were sRGB",)
    profile = profiles.rgb()
    with_profile = images.read(saved(photo, "AVIF", quality=100, icc_profile=profile))
    np.testing.assert_array_equal(named(12, 13, icc_profile=profile).pixels, with_profile.pixels)


def test_a_profile_that_cannot_be_put_together_is_noted(photo):
    large = saved(photo, "JPEG", icc_profile=profiles.rgb() + bytes(70_000))
    first = large.index(b"ICC_PROFILE") - 4
    size = 2 + int.from_bytes(large[first + 2 : first + 4], "big")
    plain, chunk = saved(photo, "PNG"), b"iCCPx\0\0no"
    chunk = b"\0\0\0\5" + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    for data in large[:first] + large[first + size :], plain[:33] + chunk + plain[33:]:
        assert images.read(data).notes == ("its colour profile is damaged; taken as sRGB",)


def test_the_profile_of_a_jpeg_2000(photo):
    def box(name, *contents):
        inside = b"".join(contents)
        return (8 + len(inside)).to_bytes(4, "big") + name + inside

    def with_colour(data, profile):
        at = data.index(b"jp2h") - 4
        size = int.from_bytes(data[at : at + 4], "big")
        before = data[at + 8 : data.index(b"colr") - 4]
        colour = box(b"colr", b"\2\0\0", profile)
        return data[:at] + box(b"jp2h", before, colour) + data[at + size :]

    for pixels, profile in (photo, profiles.rgb()), (photo[..., 0], profiles.grey(1.0)):
        plain = saved(pixels, "JPEG2000", irreversible=False)
        wanted = images.read(saved(pixels, "PNG", icc_profile=profile))
        made = images.read(with_colour(plain, profile))
        np.testing.assert_array_equal(made.pixels, wanted.pixels)
        assert np.abs(made.pixels - images.read(plain).pixels).max() > 10 / 255
        assert made.notes == ()
        cut = images.read(with_colour(plain, profile[:300]))
        assert "its colour profile cannot be used" in cut.notes[0]


@pytest.mark.parametrize("animated", [False, True])
@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"quality": 80}, {"quality": 80, "exif": b"x"}]
)
def test_a_lossless_webp_stays_lossless(photo, options, animated):
    """A lossy one halves the resolution of colours."""
    image = Image.fromarray(photo)
    out = io.BytesIO()
    more = {"save_all": True, "append_images": [image.rotate(90)]} if animated else {}
    image.save(out, "WEBP", **options, **more)
    picture = images.read(out.getvalue())
    assert picture.lossless == ("lossless" in options)
    again = images.read(images.encode(picture, ".webp"))
    assert again.lossless == picture.lossless
    assert np.array_equal(again.pixels, picture.pixels) == picture.lossless
    assert not images.read(images.encode(picture, ".webp", quality=95)).lossless
    assert not images.read(images.encode(picture, ".png")).lossless


def test_transparent_colours_of_2_and_16_bits():
    """Pillow writes no RGB of 16 bits, so the file is put together by hand."""
    grey = np.array([[0, 300], [40_000, 65_535]], np.uint16)
    picture = images.read(saved(grey, "PNG", transparency=300))
    np.testing.assert_array_equal(picture.alpha, [[1, 0], [1, 1]])

    deep = np.array([[1000, 2000, 300], [60_000, 5, 9]], ">u2").tobytes()
    for bits, kind, row, key in ((16, 2, deep, deep[:6]), (2, 0, b"\x40", b"\0\1")):
        data = png([row], 2, bits, kind, [(b"tRNS", key)])
        np.testing.assert_array_equal(images.read(data).alpha, [[0, 1]])


def test_16_bit_grey_with_transparency_stays_grey():
    linear = [(b"gAMA", struct.pack(">I", 100_000))]
    picture = images.read(png([b"\x40\0\x80\0"], 1, 16, 4, linear))
    made = opened(images.encode(picture, ".png"))
    assert (made.mode, made.getpixel((0, 0))) == ("LA", (137, 128))
    assert picture.notes == ("its 16 bits per colour are cut to 8 bits",)


def test_16_bit_grey_with_a_transparent_level_keeps_its_hole():
    row = struct.pack(">3H", 7, 30_000, 40_000)
    picture = images.read(png([row], 3, 16, 0, [(b"tRNS", struct.pack(">H", 7))]))
    for suffix in (".png", ".tif"):
        made = opened(images.encode(picture, suffix))
        assert made.mode == "LA"
        assert np.asarray(made)[0, :, 1].tolist() == [0, 255, 255]
    assert picture.notes == ("its 16 bits per colour are cut to 8 bits",)


def test_portable_pixmaps_of_16_bits_say_so():
    data = b"P6 2 1 65535\n" + bytes(12)
    assert images.read(data).notes == ("its 16 bits per colour are cut to 8 bits",)
    assert images.read(b"P6 2 1 255\n" + bytes(6)).notes == ()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
def test_metadata_that_is_hard_to_write(photo, suffix):
    """A text beyond ASCII keeps its bytes, a broken entry takes nothing with it, and the longest
    entry goes if all are too long for a JPEG."""
    exif = Image.Exif()
    name = "© Jörg".encode()
    exif[ExifTags.Base.Copyright] = name
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    exif[ExifTags.Base.ResolutionUnit] = 2
    picture = images.read(saved(photo, "PNG", exif=exif, dpi=(150, 150)))
    picture.about.main[ExifTags.Base.ResolutionUnit] = "inches"  # as a file may have it
    found = opened(images.encode(picture, suffix)).getexif()
    assert found[ExifTags.Base.Copyright].encode("latin-1") == name
    assert ExifTags.Base.ImageDescription not in found
    if suffix in (".webp", ".avif"):
        assert found[ExifTags.Base.XResolution] == pytest.approx(150, abs=0.02)


def test_texts_of_a_png_go_into_other_formats(photo):
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("Author", "Ada Lovelace")
    jpeg = images.encode(images.read(saved(photo, "PNG", pnginfo=texts)), ".jpg")
    assert opened(jpeg).getexif()[ExifTags.Base.Artist] == "Ada Lovelace"
    png = images.encode(images.read(saved(photo, "JPEG", comment=b"mine")), ".png")
    assert opened(png).info["Comment"] == "mine"
