"""Cases of inks (CMYK and YCCK), of AVIFs that are cut, turned and mirrored, and of JPEG XL."""

import io
from itertools import permutations

import imagecodecs
import numpy as np
from PIL import Image

from nightlight.imaging.colour_space import PRIMARIES, ColourSpace
from nightlight.imaging.normalise import upright
from tests.colour import profiles
from tests.colour.case import NUMBERED, Case, photograph
from tests.support import coded_colours, jxl_files, phone_pictures, pictures

# libjxl's numbers of white point and primaries, by those of H.273.
_PLACES = {1: (1, 1), 9: (1, 9), 11: (11, 11), 12: (1, 11)}


def inks():
    """JPEGs of four components: with and without Adobe's marker, as YCCK, with a profile."""
    image = photograph()
    inverted = 255 - np.asarray(image.convert("CMYK"))  # as Photoshop writes them
    profile = profiles.cmyk_table(ColourSpace(PRIMARIES[1], 13.0))
    files = {
        "CMYK, Adobe": pictures.encoded(image.convert("CMYK"), "JPEG", quality=95),
        "CMYK, with black": pictures.encoded(_with_black(image), "JPEG", quality=95),
        "YCCK, Adobe": _four(inverted, "YCCK"),
    }
    for name, data in files.items():
        yield Case(f"JPEG, {name}", data)
    # Chromium 156 passes such a profile over. This is what it says.
    inks_ = np.asarray(_with_black(image)).astype(float) / 255
    shown = 255 * (1 - inks_[..., :3]) * (1 - profiles.BLACK * inks_[..., 3:])
    like = _png(Image.fromarray(shown.round().astype(np.uint8)))
    data = _with_profile(files["CMYK, with black"], profile)
    yield Case("JPEG, CMYK, with black, profile that is a table", data, like=like)
    yield Case("JPEG, CMYK without Adobe's marker", _without(files["CMYK, Adobe"], 0xEE))
    yield Case("JPEG, CMYK, profile of RGB", _with_profile(files["CMYK, Adobe"], profiles.rgb_table(_P3)))


_P3 = ColourSpace(PRIMARIES[12], 13.0)


def _with_black(image):
    """CMYK in which what is common to three inks is black."""
    rest = 255 - np.asarray(image).astype(int)
    black = rest.min(axis=-1)
    scale = 255 / np.maximum(255 - black, 1)
    colours = (rest - black[..., None]) * scale[..., None]
    return Image.fromarray(np.dstack([colours.round(), black]).astype(np.uint8), "CMYK")


def _four(inverted, space):
    return imagecodecs.jpeg8_encode(inverted, level=95, colorspace="CMYK", outcolorspace=space)


def _with_profile(data, profile):
    segment = b"ICC_PROFILE\0\1\1" + profile
    return data[:2] + b"\xff\xe2" + (len(segment) + 2).to_bytes(2) + segment + data[2:]


def _without(data, marker):
    at = data.index(bytes((0xFF, marker)))
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]


def transforms():
    """AVIFs whose primary item is cut, turned and mirrored, in every order."""
    image = photograph(64, 48)
    plain = pictures.encoded(image, "AVIF", quality=95, subsampling="4:4:4")
    properties = {"clap": phone_pictures.clap(40, 20, 8, -8), "irot": b"\1", "imir": b"\0"}
    # What the standard has them do to what is shown before: Chromium cuts nothing, and mirrors last whatever the order.
    steps = {
        "clap": lambda shown: shown.crop(_cut(shown.size)),
        "irot": lambda shown: shown.transpose(Image.Transpose.ROTATE_90),
        "imir": lambda shown: shown.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    }
    orders = [order for count in (1, 2, 3) for order in permutations(properties, count)]
    for order in orders:
        data, like = plain, image
        for name in order:
            data = phone_pictures.with_property(data, name.encode(), properties[name])
            like = steps[name](like)
        followed = order in {("irot",), ("imir",), ("irot", "imir")}
        yield Case(f"AVIF, {', '.join(order)}", data, like=None if followed else _png(like))


def _cut(size):
    """The box of 40 x 20 pixels whose middle is 4 right of and 4 above that of a picture."""
    left, top = (size[0] - 40) // 2 + 4, (size[1] - 20) // 2 - 4
    return left, top, left + 40, top + 20


def jpeg_xl():
    """JPEG XL, which Chromium 156 reads: every mode, orientation and colour space."""
    image = photograph()
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(image.size))
    shown = {"RGB": image, "grey": image.convert("L"), "alpha": alpha, "grey and alpha": alpha.convert("LA")}
    for name, picture in shown.items():
        for distance in (0, 1.0):
            kind = "lossy" if distance else "lossless"
            yield Case(f"JPEG XL, {kind}, {name}", pictures.jxl(picture, distance=distance))
    deep = np.asarray(image).astype(np.uint16) * 257
    yield Case("JPEG XL, 16 bits, linear", pictures.jxl(deep, distance=0))
    yield Case("JPEG XL, in parts", jxl_files.boxed(pictures.jxl(image, distance=0, usecontainer=False), parts=3))
    for orientation in range(1, 9):
        data = jxl_files.lossless(photograph(60, 45), orientation=orientation)
        yield Case(f"JPEG XL, orientation {orientation}", data, like=_png(upright(photograph(60, 45), orientation)))
    for name, (primaries, transfer) in NUMBERED.items():
        if primaries in _PLACES and transfer in (1, 8, 13, 16, 18):
            data = jxl_files.lossless(image, colours=(*_PLACES[primaries], transfer))
            yield Case(f"JPEG XL, {name}", data, hdr=transfer in (16, 18))
            if transfer in (16, 18):
                like = coded_colours.png(np.asarray(image), coded_colours.cicp(primaries, transfer))
                yield Case(f"JPEG XL, {name}, beside a PNG", data, hdr=True, like=like)


def _png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
