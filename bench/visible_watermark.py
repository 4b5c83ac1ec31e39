"""What each pattern of the visible watermark does to pictures, and what is left of it in a crop to a third.

The pictures are the photographs inside packages at 320 pixels; the watermark is crescents. Columns:

    change, changed, SSIM   mean change in grey levels; the share of pixels changed by over 4; SSIM to the picture without it
    beside                  share of random crops to a third in which a matched filter finds it in the difference to the
                            picture without it: as it is, and after half the size and JPEG 60
    alone                   the same by the crop alone
    filtered                beside, after a median of 5 pixels and after non-local means
    retouched               dB between the picture without it and a copy whose tiles are filled in (Telea 2004) by
                            somebody who knows where they lie: more is worse

    python bench/visible_watermark.py [--crops N] [--sheet FILE.webp]
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import cv2
import numpy as np
from attacks import encoded, scaled
from photographs import square
from PIL import Image
from skimage.metrics import structural_similarity

from nightlight.imaging.contact_sheet import pattern_sheet
from nightlight.imaging.tile_layout import LAYOUTS
from nightlight.imaging.visible_watermark import STRENGTHS, VisibleWatermark
from tests.support import matched_filter
from tests.support.pictures import psnr

SIDE = 320
PHOTOGRAPHS = ("astronaut", "admiral", "admiral, face", "cameraman", "cat", "coffee", "motorcycle", "rocket")
DESIGN = VisibleWatermark()
# The portraits of the sheet: what it is called, the photograph, the square around the head, its lightest and darkest grey.
PORTRAITS = (
    ("plain", "astronaut", (60, 0, 380, 320), (0, 255), (0.22, 0.1, 0.68, 0.56)),
    ("busy", "admiral", None, (0, 255), (0.22, 0.1, 0.68, 0.56)),
    ("dark", "astronaut, face", None, (0, 90), (0.12, 0.15, 0.72, 0.75)),
    ("bright", "admiral, face", None, (130, 255), (0.15, 0.3, 0.75, 0.9)),
)


def photograph(name: str) -> Image.Image:
    """Return a photograph, RGB, SIDE pixels a side."""
    return Image.fromarray(square(name, SIDE, Path()))


def small(image: Image.Image) -> Image.Image:
    """Return a copy that was half the size, at JPEG quality 60."""
    return encoded(scaled(image, 0.5), "JPEG", 60).resize(image.size, Image.Resampling.BICUBIC)


def median(image: Image.Image) -> Image.Image:
    """Return a copy after a median of five pixels."""
    return Image.fromarray(cv2.medianBlur(np.asarray(image), 5))


def denoised(image: Image.Image) -> Image.Image:
    """Return a copy after non-local means."""
    return Image.fromarray(cv2.fastNlMeansDenoisingColored(np.asarray(image), None, 10, 10))


def retouched(watermarked: Image.Image, drawn: np.ndarray) -> Image.Image:
    """Return a copy in which everything under the tiles is filled in from around them."""
    mask = cv2.dilate((np.abs(drawn) > 2).astype(np.uint8), np.ones((3, 3), np.uint8))
    return Image.fromarray(cv2.inpaint(np.asarray(watermarked), mask, 3, cv2.INPAINT_TELEA))


def as_it_is(image: Image.Image) -> Image.Image:
    """Return the picture."""
    return image


ATTACKS = {"as it is": as_it_is, "small": small, "median": median, "denoised": denoised}


def measured(pattern: str, strength: str, crops: int) -> list[float]:
    """Return the figures of a row, in the order of its columns."""
    random, drawn, side = np.random.default_rng(11), matched_filter.pattern_of(DESIGN, SIDE, pattern), SIDE // 3
    shares: dict[str, list[bool]] = {name: [] for name in (*ATTACKS, "alone", "alone, small")}
    rows = []
    for name in PHOTOGRAPHS:
        plain = photograph(name)
        picture = DESIGN.draw(plain, strength, pattern)
        change = np.abs(matched_filter.luma(picture) - matched_filter.luma(plain))
        alike = structural_similarity(np.asarray(plain), np.asarray(picture), channel_axis=2)
        rows.append((change.mean(), (change > 4).mean(), alike, psnr(plain, retouched(picture, drawn))))
        seen = {attack: matched_filter.luma(copied(picture)) for attack, copied in ATTACKS.items()}
        sources = {attack: seen[attack] - matched_filter.luma(copied(plain)) for attack, copied in ATTACKS.items()}
        sources |= {"alone": seen["as it is"], "alone, small": seen["small"]}
        for top, left in random.integers(0, SIDE - side + 1, (crops, 2)):
            for source, values in sources.items():
                crop = values[top : top + side, left : left + side]
                shares[source].append(matched_filter.is_found(crop, drawn, top, left))
    change, changed, alike, filled = np.mean(rows, axis=0)
    by_source = {name: float(np.mean(values)) for name, values in shares.items()}
    return [
        change,
        changed,
        alike,
        *(by_source[name] for name in ("as it is", "small", "alone", "alone, small", "median", "denoised")),
        filled,
    ]


def sheet(path: Path) -> None:
    """Draw every pattern at ``clear`` on the portraits, side by side, as WebP."""
    rows = []
    for title, name, box, (darkest, lightest), face in PORTRAITS:
        image = Image.fromarray(square(name, 512, Path())).crop(box) if box else photograph(name)
        plain = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS).point(
            lambda value, low=darkest, high=lightest: round(low + value * (high - low) / 255)
        )
        pictures = [plain, *(DESIGN.draw(plain, "clear", pattern) for pattern in LAYOUTS)]
        rows.append((title, face, [webp(picture) for picture in pictures]))
    data = pattern_sheet("Patterns of the visible watermark at `clear`, 320 pixels", ["no watermark", *LAYOUTS], rows)
    Image.open(BytesIO(data)).convert("RGB").save(path, "WEBP", quality=64, method=6)


def webp(picture: Image.Image) -> bytes:
    """Return a picture as the default policy encodes `medium`."""
    buffer = BytesIO()
    picture.save(buffer, "WEBP", quality=78, method=3)
    return buffer.getvalue()


def main() -> None:
    """Print the table as Markdown, or draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=12, help="random crops of each photograph (default 12)")
    parser.add_argument("--sheet", type=Path, help="draw the sheet of docs/visible-watermark.md to this file instead")
    options = parser.parse_args()
    if options.sheet:
        sheet(options.sheet)
        return
    print("| pattern, strength | change | changed | SSIM | beside | alone | median / NLM | retouched |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for pattern in LAYOUTS:
        for strength in STRENGTHS:
            change, changed, alike, *shares, filled = measured(pattern, strength, options.crops)
            pairs = [f"{first:.2f} / {second:.2f}" for first, second in zip(shares[::2], shares[1::2], strict=True)]
            cells = [f"{change:.2f}", f"{100 * changed:.1f} %", f"{alike:.3f}", *pairs, f"{filled:.1f} dB"]
            print(f"| `{pattern}`, `{strength}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
