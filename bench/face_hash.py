"""What a BlurHash holds, read back from its text by the published algorithm (github.com/woltapp/blurhash)."""

from __future__ import annotations

import numpy as np

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
SIDE = 20


def waves(text):
    """Return the waves of a hash, float64 (down, across, 3): light in linear colours."""
    down, across = divmod(_number(text[0]), 9)
    most = (_number(text[1]) + 1) / 166
    colour = _number(text[2:6])
    first = _linear(np.array([colour >> 16, colour >> 8 & 255, colour & 255]) / 255)
    rest = [_number(text[place : place + 2]) for place in range(6, len(text), 2)]
    levels = np.array([(value // 361, value // 19 % 19, value % 19) for value in rest]).reshape(-1, 3)
    steps = (levels - 9) / 9
    values = np.concatenate([first[None], np.sign(steps) * steps**2 * most])
    return values.reshape(down + 1, across + 1, 3)


def picture(text):
    """Return what a page paints of a hash, float32 (SIDE * SIDE * 3,) in sRGB, 0 to 1."""
    terms = waves(text)
    down, across = (np.cos(np.pi * np.outer(np.arange(count), np.arange(SIDE) / SIDE)) for count in terms.shape[:2])
    light = np.einsum("yxc,yh,xw->hwc", terms, down, across).clip(0, 1)
    srgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return srgb.astype(np.float32).ravel()


def _number(text):
    value = 0
    for digit in text:
        value = value * 83 + DIGITS.index(digit)
    return value


def _linear(srgb):
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
