"""The colour spaces that files name by numbers: primaries and transfer characteristics.

A file without an ICC profile may name its colours by two numbers of ITU-T H.273 (PNG's cICP, the nclx of an AVIF or
HEIC), or by a gamma and chromaticities (PNG's gAMA and cHRM). They are read as browsers read them: what is unknown,
limited or impossible is ignored, and the picture is taken to be sRGB.

Sources: ITU-T H.273 (2021), tables 2 and 3; W3C PNG, 3rd edition, 11.3.2; measured against Chromium 156.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from nightlight.imaging.header import Header

# A coded value, 0 to 1, to light, 0 to 1.
Transfer = Callable[[float], float]
Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
# x and y of white, red, green and blue.
Chromaticities = tuple[float, float, float, float, float, float, float, float]

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
PRIMARIES: dict[int, Chromaticities] = {
    1: (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (*_DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
SRGB, PQ, HLG = 13, 16, 18
_UNSPECIFIED = 2
# The camera curves of BT.709, BT.601 and BT.2020. Chromium takes them for sRGB's in an AVIF, not in a PNG.
_CAMERAS = frozenset({1, 6, 14, 15})
# Of libpng: a gamma without chromaticities that is nearer than this to that of sRGB is taken for it.
_SAME_GAMMA = 0.05
_SRGB_GAMMA = 45_455
_UNIT = 100_000
_LEAST_DETERMINANT = 1e-6
# The header of an ICC profile, and the number of its tags.
_LEAST_PROFILE_BYTES = 132


@dataclass(frozen=True, slots=True)
class ColourSpace:
    """How the RGB of a picture is to be understood. ``transfer``: a number of H.273, or a gamma if it is negative."""

    chromaticities: Chromaticities
    transfer: float

    @property
    def hdr(self) -> bool:
        """Say whether the picture is brighter than a page, and is to be brought down to it."""
        return self.transfer in (PQ, HLG)


def colours(
    header: Header, cicp: tuple[int, int, int] | None, icc_profile: bytes | None
) -> tuple[bytes | None, ColourSpace | None]:
    """Return the ICC profile or the space that counts; neither where a picture is sRGB.

    ``cicp``: the numbers of the header, or those of the coded picture where the header has none.
    A profile that is none, or is shorter than it states, is as good as none.
    In a PNG the numbers of H.273 go before a profile, and that before the rest; elsewhere a profile goes first.
    """
    numbered = _by_numbers(header, cicp)
    if icc_profile and not _is_profile(icc_profile):
        icc_profile = None
    if icc_profile and (numbered is None or header.format != "png"):
        return icc_profile, None
    space = numbered or _by_gamma(header) or _SRGB_SPACE
    return None, None if space == _SRGB_SPACE else space


def _is_profile(data: bytes) -> bool:
    """Say whether data begin like an ICC profile, and are as long as it says (ICC.1:2022, 7.2)."""
    size = int.from_bytes(data[:4], "big")
    return _LEAST_PROFILE_BYTES <= size <= len(data) and data[36:40] == b"acsp"


def _by_numbers(header: Header, cicp: tuple[int, int, int] | None) -> ColourSpace | None:
    if cicp is None:
        return None
    primaries, transfer = cicp[:2]
    if header.format != "png":  # beside a number that is known, what is unspecified is sRGB's
        primaries = 1 if primaries == _UNSPECIFIED else primaries
        transfer = SRGB if transfer in {_UNSPECIFIED, *_CAMERAS} else transfer
    if primaries not in PRIMARIES or transfer not in {*_TRANSFERS, PQ, HLG}:
        return None
    return ColourSpace(PRIMARIES[primaries], float(transfer))


def _by_gamma(header: Header) -> ColourSpace | None:
    if header.srgb or not header.gamma:
        return None
    gamma = -_UNIT / header.gamma
    if header.chromaticities is None:
        near = abs(header.gamma / _SRGB_GAMMA - 1) < _SAME_GAMMA
        return None if near else ColourSpace(PRIMARIES[1], gamma)
    values = tuple(value / _UNIT for value in header.chromaticities)
    if len(values) != len(PRIMARIES[1]) or not _possible(values):
        return None
    return ColourSpace(values, gamma)


_SRGB_SPACE = ColourSpace(PRIMARIES[1], float(SRGB))


def _possible(chromaticities: tuple[float, ...]) -> TypeGuard[Chromaticities]:
    pairs = _pairs(chromaticities)
    if not all(0 <= x <= 1 and 0 <= y <= 1 for x, y in pairs) or pairs[0][1] == 0:
        return False
    return abs(_determinant(_columns(pairs))) > _LEAST_DETERMINANT


def _curve(gamma: float, slope: float, offset: float, start: float) -> Transfer:
    """Return ((v + offset) / (1 + offset)) ** gamma, and v / slope under ``start``."""
    return lambda v: v / slope if v < start else math.pow((v + offset) / (1 + offset), gamma)


def _display(value: float) -> float:
    """Return what a display makes of the signals of BT.601, BT.709 and BT.2020 (ITU-R BT.1886)."""
    return math.pow(value, 2.4)


_TRANSFERS: dict[int, Transfer] = {
    1: _display,
    4: lambda v: v**2.2,
    5: lambda v: v**2.8,
    6: _display,
    7: _curve(1 / 0.45, 4.0, 0.1115, 0.0912),
    8: lambda v: v,
    11: _display,
    13: _curve(2.4, 12.92, 0.055, 0.04045),
    14: _display,
    15: _display,
    17: lambda v: 52.37 / 48 * v**2.6,
}


def decode_transfer(transfer: float) -> Transfer:
    """Return the function from coded values to light of a transfer that is no HDR one."""
    if transfer < 0:
        return lambda v: v ** min(-transfer, _UNIT)
    return _TRANSFERS[int(transfer)]


def decode_pq(value: float) -> float:
    """Return the light of a PQ value, 0 to 1, in cd/m2, 0 to 10,000 (SMPTE ST 2084)."""
    power = value ** (32 / 2523)
    return 10_000 * math.pow(max(power - 0.8359375, 0.0) / (18.8515625 - 18.6875 * power), 16_384 / 2_610)


def decode_hlg(value: float) -> float:
    """Return the scene's light, 0 to 1, of an HLG value, 0 to 1 (ITU-R BT.2100, table 5)."""
    return value * value / 3 if value <= 0.5 else (math.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12  # noqa: PLR2004


def to_xyz(chromaticities: Chromaticities) -> Matrix:
    """Return the matrix from linear RGB to XYZ; white has Y of 1 (SMPTE RP 177)."""
    columns = _columns(_pairs(chromaticities))
    x, y = chromaticities[:2]
    scale = multiply(inverse(columns), ((x / y, 0, 0), (1, 0, 0), ((1 - x - y) / y, 0, 0)))
    return multiply(columns, ((scale[0][0], 0, 0), (0, scale[1][0], 0), (0, 0, scale[2][0])))


def _pairs(chromaticities: tuple[float, ...]) -> list[tuple[float, float]]:
    return list(zip(chromaticities[::2], chromaticities[1::2], strict=True))


def _columns(pairs: list[tuple[float, float]]) -> Matrix:
    _, (rx, ry), (gx, gy), (bx, by) = pairs
    return (rx, gx, bx), (ry, gy, by), (1 - rx - ry, 1 - gx - gy, 1 - bx - by)


def adapt(chromaticities: Chromaticities, white: tuple[float, float, float]) -> Matrix:
    """Return the matrix from linear RGB to XYZ as seen under ``white`` (XYZ): Bradford's adaptation (ICC.1:2022, E)."""
    matrix = to_xyz(chromaticities)
    x, y = chromaticities[:2]
    before, after = (_cones((x / y, 1.0, (1 - x - y) / y)), _cones(white))
    ratio = [new / old for new, old in zip(after, before, strict=True)]
    scaled: Matrix = ((ratio[0], 0, 0), (0, ratio[1], 0), (0, 0, ratio[2]))
    return multiply(multiply(multiply(inverse(_BRADFORD), scaled), _BRADFORD), matrix)


_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


def _cones(xyz: tuple[float, float, float]) -> tuple[float, float, float]:
    first, second, third = (sum(a * b for a, b in zip(row, xyz, strict=True)) for row in _BRADFORD)
    return first, second, third


def multiply(left: Matrix, right: Matrix) -> Matrix:
    """Return the product of two matrices."""
    rows = [[sum(row[k] * right[k][column] for k in range(3)) for column in range(3)] for row in left]
    return tuple(tuple(row) for row in rows)  # type: ignore[return-value]


def _determinant(m: Matrix) -> float:
    return (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    )


def inverse(m: Matrix) -> Matrix:
    """Return the inverse of a matrix; raises ZeroDivisionError where there is none."""
    d = _determinant(m)
    rows = [
        [
            (m[j - 2][i - 2] * m[j - 1][i - 1] - m[j - 2][i - 1] * m[j - 1][i - 2]) / d  # the cofactor of j, i
            for j in range(3)
        ]
        for i in range(3)
    ]
    return tuple(tuple(row) for row in rows)  # type: ignore[return-value]
