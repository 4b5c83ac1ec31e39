"""ICC profiles that no library here writes: tables to Lab for RGB and CMYK, and a curve for grey.

Source: ICC.1:2001-04, 6.3 and 6.5: the tags and types of version 2, and ``lut16Type`` with its encoding of Lab.
"""

import struct

import numpy as np

from nightlight.imaging.colour_space import ColourSpace, adapt, decode_transfer

# The share of light that the black of an ink takes away.
BLACK = 0.9
_D50 = (0.9642, 1.0, 0.8249)


def grey_curve(gamma):
    """A profile of one curve."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    return _profile(b"GRAY", b"XYZ ", {b"wtpt": _xyz(_D50), b"kTRC": curve})


def rgb_table(space: ColourSpace, *, steps=17):
    """A profile of a space of RGB as a table to Lab."""
    levels = np.linspace(0, 1, steps)
    decoded = np.array([decode_transfer(space.transfer)(float(level)) for level in levels])
    red, green, blue = np.meshgrid(decoded, decoded, decoded, indexing="ij")
    xyz = np.stack([red, green, blue], axis=-1) @ np.array(adapt(space.chromaticities, _D50)).T
    return _profile(b"RGB ", b"Lab ", {b"wtpt": _xyz(_D50), b"A2B0": _table(3, _lab(xyz))})


def cmyk_table(srgb: ColourSpace, *, steps=9):
    """A profile of inks that take away light, black less than all of it, as a table to Lab."""
    levels = np.linspace(0, 1, steps)
    inks = np.stack(np.meshgrid(*[levels] * 4, indexing="ij"), axis=-1)
    coded = (1 - inks[..., :3]) * (1 - BLACK * inks[..., 3:])
    decode = np.vectorize(decode_transfer(srgb.transfer), otypes=[float])
    xyz = decode(coded) @ np.array(adapt(srgb.chromaticities, _D50)).T
    return _profile(b"CMYK", b"Lab ", {b"wtpt": _xyz(_D50), b"A2B0": _table(4, _lab(xyz))}, kind=b"prtr")


def _lab(xyz):
    ratio = xyz / np.array(_D50)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(np.maximum(ratio, 0)), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def _table(channels, lab):
    """A lut16Type without curves."""
    coded = np.stack([lab[..., 0] * 652.8, (lab[..., 1] + 128) * 256, (lab[..., 2] + 128) * 256], axis=-1)
    values = np.clip(np.round(coded), 0, 65_535).astype(">u2").tobytes()
    unit = struct.pack(">9i", 65_536, 0, 0, 0, 65_536, 0, 0, 0, 65_536)
    straight = struct.pack(">2H", 0, 65_535)
    head = b"mft2\0\0\0\0" + bytes((channels, 3, lab.shape[0], 0)) + unit + struct.pack(">2H", 2, 2)
    data = head + straight * channels + values + straight * 3
    return data + bytes(-len(data) % 4)


def _xyz(values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65_536) for value in values))


def _profile(space, connection, tags, *, kind=b"mntr"):
    text = b"made for a test\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(82), **tags}
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)  # noqa: PLW2901 - padded
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02100000, kind, space, connection)
    head = (head + bytes(12) + b"acsp" + bytes(28) + _xyz(_D50)[8:]).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body
