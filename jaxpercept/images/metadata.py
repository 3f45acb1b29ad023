"""Carries a photo's metadata over to the file made from it.

Kept: the descriptive Exif entries (camera, author, copyright, date, exposure, GPS), dots per inch,
a JPEG's comment, PNG's named texts. Corrected: orientation (1) and sizes. Dropped: everything that
shows or describes the picture before the change, namely thumbnails, makers' notes (they hold
previews), multi-picture parts, gain maps, and XMP with its editing history. An author and a
copyright found only in XMP or IPTC go into Exif.
"""

from __future__ import annotations

import contextlib
import html
import re
from typing import Any

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin, PngImagePlugin

from jaxpercept.images import colour
from jaxpercept.images.formats import AVIF, BMP, JPEG, PNG, TIFF, WEBP, WRITTEN
from jaxpercept.images.picture import About

_Base = ExifTags.Base
_MAIN = {
    *(_Base.ImageDescription, _Base.Make, _Base.Model, _Base.Software, _Base.DateTime),
    *(_Base.Artist, _Base.HostComputer, _Base.Copyright, _Base.Rating, _Base.RatingPercent),
    *(_Base.XResolution, _Base.YResolution, _Base.ResolutionUnit),
    *(_Base.XPTitle, _Base.XPComment, _Base.XPAuthor, _Base.XPKeywords, _Base.XPSubject),
}
_NOT_IN_EXIF = {_Base.MakerNote, _Base.ExifInteroperabilityOffset}
_WIDTH, _HEIGHT, _COLOUR_SPACE = 0xA002, 0xA003, 0xA001
_TEXTS = {"Title", "Author", "Description", "Copyright", "Creation Time", "Software", "Comment"}
_TEXTS |= {"Source", "Disclaimer", "Warning"}
_TAGS_OF_TEXTS = {
    "Author": _Base.Artist,
    "Copyright": _Base.Copyright,
    "Description": _Base.ImageDescription,
    "Software": _Base.Software,
}
_MOST_EXIF = 60_000  # bytes; a JPEG can hold 65,533


def about(image: Image.Image) -> About:
    """Returns an open image file's metadata, before its pixels are touched."""
    try:
        found = image.getexif()
        main = {k: v for k, v in found.items() if k in _MAIN}
        exif = {k: v for k, v in found.get_ifd(ExifTags.IFD.Exif).items() if k not in _NOT_IN_EXIF}
        gps = dict(found.get_ifd(ExifTags.IFD.GPSInfo))
    except Exception:  # Pillow raises anything on damaged Exif; the picture is still good
        main, exif, gps = {}, {}, {}
    for tag, value in _credits(image).items():
        main.setdefault(tag, value)
    info = image.info
    comment = info.get("comment")
    return About(
        main=main,
        exif=exif,
        gps=gps,
        dpi=_dpi(info.get("dpi")),
        comment=comment if isinstance(comment, bytes) else None,
        texts={k: str(v) for k, v in info.items() if k in _TEXTS and isinstance(v, str)},
    )


def _credits(image: Image.Image) -> dict[int, str]:
    """Returns the author and the copyright in XMP and IPTC, by their Exif tags."""
    found: dict[int, str] = {}
    iptc: dict[Any, Any] = {}
    with contextlib.suppress(Exception):  # damaged metadata, as above
        if isinstance(image, ImageFile.ImageFile):
            iptc = IptcImagePlugin.getiptcinfo(image) or {}
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    xmp = xmp.encode(errors="replace") if isinstance(xmp, str) else xmp
    for tag, name, key in ((_Base.Artist, b"creator", 80), (_Base.Copyright, b"rights", 116)):
        inside = re.search(rb"<dc:%b>(.{0,2000}?)</dc:%b>" % (name, name), xmp, re.DOTALL)
        items = re.findall(rb"<rdf:li[^>]*>([^<]+)</rdf:li>", inside[1]) if inside else []
        given = iptc.get((2, key))
        items = items or (given if isinstance(given, list) else [given] if given else [])
        if text := html.unescape("; ".join(i.decode(errors="replace") for i in items)).strip():
            found[int(tag)] = text.encode().decode("latin-1")  # as Pillow reads Exif's bytes
    return found


def _dpi(given: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(v) for v in given)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def options(kept: About, kind: str, size: tuple[int, int], *, grey: bool) -> dict[str, Any]:
    """Returns Pillow's options to save an sRGB picture of `size` (width, height) as `kind`, with
    the sRGB tag and the metadata in `kept`."""
    made: dict[str, Any] = {}
    if kind in (JPEG, PNG, WEBP, AVIF, TIFF):
        if not grey:  # the profile is for RGB only
            made["icc_profile"] = colour.srgb_profile()
        if exif := _exif(kept, kind, size):
            made["exif"] = exif
    if kind in (JPEG, PNG, TIFF, BMP) and kept.dpi is not None:
        made["dpi"] = tuple(round(v) for v in kept.dpi) if kind == JPEG else kept.dpi
    if kind == JPEG and kept.comment:
        made["comment"] = kept.comment
    if kind == PNG:
        made["pnginfo"] = texts = PngImagePlugin.PngInfo()
        if grey:
            texts.add(b"sRGB", b"\0")
        comment = {"Comment": kept.comment.decode("latin-1")} if kept.comment else {}
        for name, value in {**comment, **kept.texts}.items():
            texts.add_itxt(name, value)
    return made


def lost(kept: About, suffix: str) -> tuple[str, ...]:
    """Returns a note if the format of `suffix` cannot hold the metadata in `kept`."""
    told = kept.main or kept.exif or kept.gps or kept.comment or kept.texts
    if told and WRITTEN.get(suffix.lower()) == BMP:
        return ("a BMP file holds no author, date, place or text: they are left out",)
    return ()


def _exif(kept: About, kind: str, size: tuple[int, int]) -> bytes | Image.Exif | None:
    """Returns the Exif block. Entries that cannot be written are left out, and the longest ones if
    a JPEG could not hold the block."""
    main, exif, gps = dict(kept.main), dict(kept.exif), dict(kept.gps)
    if kind != PNG:  # which has texts of its own
        for name, known in _TAGS_OF_TEXTS.items():
            if name in kept.texts:
                main.setdefault(known, kept.texts[name].encode().decode("latin-1"))
    if kind in (WEBP, AVIF) and kept.dpi is not None:  # the others say it elsewhere
        for axis, value in zip((_Base.XResolution, _Base.YResolution), kept.dpi, strict=True):
            main.setdefault(axis, value)
        main.setdefault(_Base.ResolutionUnit, 2)  # inches
    if not (main or exif or gps):
        return None
    exif |= {
        tag: value
        for tag, value in ((_WIDTH, size[0]), (_HEIGHT, size[1]), (_COLOUR_SPACE, 1))
        if tag in exif
    }
    parts = [{tag: _raw(value) for tag, value in main.items()}, exif, gps]
    if (data := _block(*parts)) is None:
        for number, part in enumerate(parts):
            for tag in list(part):
                alone: list[dict[int, Any]] = [{}, {}, {}]
                alone[number] = {tag: part[tag]}
                if _block(*alone) is None:
                    del part[tag]
        data = _block(*parts)
    while data is not None and len(data) > _MOST_EXIF:
        part, tag = max(
            ((part, tag) for part in parts for tag in part),
            key=lambda entry: _length(entry[0][entry[1]]),
        )
        del part[tag]
        data = _block(*parts)
    if data is None or kind not in (TIFF, AVIF):
        return data
    again = Image.Exif()  # which Pillow would make, with its texts cut to ASCII
    again.load(data)
    for tag, value in parts[0].items():
        if isinstance(main[tag], str):
            again[tag] = value
    return again


def _raw(value: Any) -> Any:
    """Returns a text as the bytes that it was read from: Pillow reads Latin-1 and writes ASCII."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("latin-1", "replace")
    return value


def _length(value: Any) -> int:
    return len(value) if isinstance(value, bytes | str | tuple) else 0


def _block(main: dict[int, Any], exif: dict[int, Any], gps: dict[int, Any]) -> bytes | None:
    """Returns an Exif block of upright orientation, or None if an entry cannot be written."""
    made = Image.Exif()
    for tag, value in main.items():
        made[tag] = value
    made[_Base.Orientation] = 1
    if exif:
        made[ExifTags.IFD.Exif] = exif
    if gps:
        made[ExifTags.IFD.GPSInfo] = gps
    try:
        return made.tobytes()
    except Exception:  # an entry's type does not fit its tag
        return None
