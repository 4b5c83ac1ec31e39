"""Writes the watermark: as strong as the limits on PSNR and SSIM allow.

The carriers are moved towards their lattices, and the pilot is added, in luma. The change is spread over red, green and
blue in the proportions in which luma is made of them, which changes the pixels least for the change in luma.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from nightlight.watermark.carriers import LUMA, read_carriers, reduced_luma, stretch_to_square, write_carriers
from nightlight.watermark.codeword import codeword
from nightlight.watermark.layout import CANONICAL, COARSE_WAVES, NARROW, WAVES, WIDE, WIDE_FROM, Layout
from nightlight.watermark.payload import Payload
from nightlight.watermark.pilot import FOLLOWS, local_contrast, pilot_strength

# A smaller rendition carries the short payload; one smaller than LEAST_SIDE carries none.
FULL_PAYLOAD_SIDE, LEAST_SIDE = 160, 64
# The watermark is computed on at most so many pixels a side, and enlarged from there: it has no finer detail.
_COMPUTED_SIDE = 320
PSNR, SSIM = 40.0, 0.97
# Rounding to whole numbers costs 0.06 dB; the enlarging, another 0.03.
_HEADROOM_DB, _HEADROOM_SSIM = 0.1, 0.0006
# Two or three are usual: to see how much is too much, and that it no longer is.
_ATTEMPTS = 10

# Shares of the energy that go to the pilot. It should stand out by _LOUD deviations of chance, since cropping and
# re-encoding take most of that. An even picture needs less energy, a busy one as much as _MOST_PILOT.
_PILOT, _LEAST_PILOT, _ENOUGH_PILOT, _MOST_PILOT = 0.2, 0.03, 0.14, 0.4
_LOUD, _AMPLE = 9.0, 25.0
_WIDE_LOUDER, _WIDE_ENOUGH = 1.7, 0.25
# Pixels a side up to which every window of SSIM is computed.
_EVERY_WINDOW = 200
# What binds: PSNR, then all carriers give way alike; or SSIM, then those of each band by a power of the strength, the
# lowest not at all: in the calm pictures that this is about they are what codecs leave, and cost the least likeness.
_ENERGY, _LIKENESS = "energy", "likeness"
_YIELDS = np.array([0.0, 0.3, 0.8, 1.5, 1.5, 1.5, 1.5], np.float32)
# The strength of the carriers under which the pilot is made weaker too.
_PILOT_YIELDS = 0.8
_CHANNELS = (LUMA / float(LUMA @ LUMA)).astype(np.float32)
_STRIP = 32


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """A watermarked picture, the payload in it, and the similarity to the picture before.

    ``pixels``: uint8 (side, side, 3). ``psnr``: in dB. ``ssim``: None where it was not computed.
    """

    pixels: np.ndarray
    payload: Payload
    psnr: float
    ssim: float | None


def fit_payload(payload: Payload, side: int) -> Payload:
    """Return the part of a payload that a rendition of ``side`` pixels carries; raise ValueError under LEAST_SIDE."""
    if side < LEAST_SIDE:
        raise ValueError(f"an invisible watermark needs {LEAST_SIDE} pixels a side, and this has {side}")
    return payload if side >= FULL_PAYLOAD_SIDE or payload.short else payload.shortened()


def embed(
    pixels: np.ndarray, payload: Payload, layout: Layout, *, psnr: float = PSNR, ssim: float | None = SSIM
) -> EmbedResult:
    """Return ``pixels``, uint8 (side, side, 3), RGB, with the watermark in them.

    ``psnr`` in dB and ``ssim`` are lower limits; the watermark is as strong as both allow. Both are computed over red,
    green and blue. SSIM is that of Wang et al. 2004 with windows of 7 pixels, and only up to 320 pixels a side: above,
    the watermark is so much coarser than the window that the PSNR binds. Raises ValueError for pixels that are not
    square, or too few.
    """
    side = pixels.shape[0]
    if pixels.shape != (side, side, 3) or pixels.dtype != np.uint8:
        raise ValueError(f"the watermark takes square RGB pixels, uint8, not {pixels.dtype} {pixels.shape}")
    payload = fit_payload(payload, side)
    small = min(side, _COMPUTED_SIDE)
    picture = reduced_luma(pixels, small)
    if picture.shape[0] != small:
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    carriers = _CarrierChange(picture, payload, layout)
    allowed = 255**2 / 10 ** ((psnr + _HEADROOM_DB) / 10) / float(np.mean(_CHANNELS**2))
    pilot = carriers.pilot(allowed)
    judge = _Similarity(pixels) if ssim is not None and side <= _COMPUTED_SIDE else None
    strengths = {_ENERGY: _Strength(), _LIKENESS: _Strength()}
    watermarked, similarity = pixels, None
    for _ in range(_ATTEMPTS):
        change = carriers.change(strengths[_ENERGY].at, strengths[_LIKENESS].at, pilot)
        binds = _ENERGY
        over = np.sqrt(float(np.mean(change * change)) / allowed)
        if over <= 1:
            if small != side:
                change = cv2.resize(change, (side, side), interpolation=cv2.INTER_CUBIC)
            watermarked = _added(pixels, change)
            if judge is None or ssim is None:
                break
            similarity, binds = judge.similarity(watermarked), _LIKENESS
            over = np.sqrt((1 - similarity) / (1 - ssim - _HEADROOM_SSIM))
        if over <= 1:
            break
        strengths[binds].reduce(float(over))
    else:
        watermarked = pixels
    error = cv2.norm(watermarked, pixels, cv2.NORM_L2SQR) / pixels.size
    return EmbedResult(watermarked, payload, float(10 * np.log10(255**2 / max(error, 1e-9))), similarity)


class _Strength:
    """The strength that one of the two limits allows: 1, or less where the limit binds."""

    def __init__(self) -> None:
        self.at, self._slope, self._before = 1.0, 0.9, (1.0, 0.0)

    def reduce(self, over: float) -> None:
        """Reduce a strength that costs ``over`` times too much; learn how fast the cost falls."""
        at, cost = self._before
        if self.at < at:
            self._slope = float(np.clip(np.log(cost / over) / np.log(at / self.at), 0.5, 1.0))
        self._before = self.at, over
        self.at *= (0.995 / over) ** (1 / self._slope)


class _CarrierChange:
    """The change that a payload makes in one picture's luma, float32 (side, side)."""

    def __init__(self, picture: np.ndarray, payload: Payload, layout: Layout) -> None:
        self._picture, self._layout = picture, layout
        self._side = picture.shape[0]
        self._wide = self._side >= WIDE_FROM
        self._waves = WAVES if self._wide else COARSE_WAVES
        coded = codeword(payload, layout)[layout.bits(short=payload.short)]
        steps = layout.step[WIDE if self._wide else NARROW]
        self._used = steps > 0
        self._steps = np.where(self._used, steps, np.float32(1))
        self._target = layout.dither + coded.astype(np.float32) / 2
        # Contrast is smooth: it is computed on CANONICAL pixels at the most, and enlarged.
        coarse = picture if self._side <= CANONICAL else stretch_to_square(picture)
        _, spread = local_contrast(coarse, coarse.shape[0])
        followed = (spread + np.float32(3)) ** np.float32(FOLLOWS)
        shaped = cv2.resize(followed, (self._side, self._side), interpolation=cv2.INTER_LINEAR)
        shaped = shaped * _enlarged_pilot(layout, self._side)
        self._pattern = shaped / np.float32(np.sqrt(np.mean(shaped * shaped)))

    def pilot(self, energy: float) -> np.ndarray:
        """Return the pilot, with the share of ``energy`` (mean square) that this picture needs."""
        trial = self._pattern * np.float32(np.sqrt(energy * _PILOT))
        response = max(pilot_strength(stretch_to_square(self._picture + trial), self._layout.pilot), 0.1)
        louder, enough = (_WIDE_LOUDER, _WIDE_ENOUGH) if self._wide else (1.0, _ENOUGH_PILOT)
        needed = _PILOT * (_LOUD * louder / response) ** 2
        ample = _PILOT * (_AMPLE * louder / response) ** 2
        share = min(max(needed, min(ample, enough), _LEAST_PILOT), _MOST_PILOT)
        scaled: np.ndarray = trial * np.float32(np.sqrt(share / _PILOT))
        return scaled

    def change(self, energy: float, likeness: float, pilot: np.ndarray) -> np.ndarray:
        """Return the change of luma. ``energy`` weakens all carriers, ``likeness`` band by band; at 1 they are full."""
        added = pilot * np.float32(min(1.0, energy * likeness / _PILOT_YIELDS))
        held = read_carriers(self._picture + added, self._layout, self._waves)
        away = held / self._steps - self._target
        band_strength = np.float32(energy) * likeness**_YIELDS
        moved = (np.rint(away) - away) * self._steps * band_strength[self._layout.band] * self._used
        change: np.ndarray = added + write_carriers(moved, self._layout, self._side, self._waves)
        return change


@lru_cache(maxsize=8)
def _enlarged_pilot(layout: Layout, side: int) -> np.ndarray:
    """Return a layout's pilot, float32 (side, side); kept for each size of rendition."""
    return cv2.resize(layout.pilot, (side, side), interpolation=cv2.INTER_CUBIC)


class _Similarity:
    """SSIM of a watermarked picture; the terms of the picture before are computed once.

    Of a picture of more than _EVERY_WINDOW pixels a side, the windows of every seventh row are computed: the mean over
    them was within 0.0003 of that over all, on 20 photographs of 320 pixels.
    """

    _C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    _WINDOW = 7
    _SAMPLE = np.float32(49 / 48)  # sample variance, as scikit-image computes it

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels.astype(np.float32)
        self._mean = self._window_means(self._pixels)
        self._square = self._mean**2 + np.float32(self._C1)
        variance = self._SAMPLE * (self._window_means(self._pixels * self._pixels) - self._mean**2)
        self._double = 2 * variance + np.float32(self._C2)

    def similarity(self, watermarked: np.ndarray) -> float:
        """Return the mean SSIM over the channels and the windows that are computed."""
        change = cv2.subtract(watermarked, self._pixels, dtype=cv2.CV_32F)
        shift = self._window_means(change)
        power = self._SAMPLE * (self._window_means(change * change) - shift * shift)
        both = self._SAMPLE * (self._window_means(self._pixels * change) - self._mean * shift)
        moved = self._mean + shift
        near = 1 - shift * shift / (self._square + moved * moved)
        double = 2 * both + self._double
        return float((near * double / (double + power)).mean())

    def _window_means(self, values: np.ndarray) -> np.ndarray:
        """Return the means over whole windows, float32 (rows, columns, 3)."""
        side, size = len(values), self._WINDOW
        if side <= _EVERY_WINDOW:
            return np.ascontiguousarray(cv2.blur(values, (size, size))[3:-3, 3:-3])
        rows = side // size
        top = side % size // 2
        bands = values[top : top + rows * size].reshape(rows, size, -1)
        means = (np.add.reduce(bands, axis=1) * np.float32(1 / size)).reshape(rows, side, -1)
        return np.ascontiguousarray(cv2.blur(means, (size, 1))[:, 3:-3])


def _added(pixels: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return ``pixels`` with a change of luma, float32 (side, side), given to their three channels and rounded."""
    added = np.empty_like(pixels)
    # In strips that stay in the processor's cache. Three planes put together take a third of the time of a transform.
    for top in range(0, len(pixels), _STRIP):
        rows = slice(top, top + _STRIP)
        channels = cv2.merge([change[rows] * factor for factor in _CHANNELS])
        cv2.add(pixels[rows], channels, dst=added[rows], dtype=cv2.CV_8U)
    return added
