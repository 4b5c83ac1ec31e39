"""The table of ``make colour`` as a page of the documentation."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "colour.md"
PEERS = ("libvips", "avifdec", "heif-convert")


def write(rows, version, absent):
    """Write the page: our error, and that of each peer, beside Chromium's pixels."""
    lines = [
        "# Colours beside other decoders",
        "",
        "<!-- Made by tests/colour; run `make colour ARGS=--write`. -->",
        "",
        "`make colour` decodes files of every format and kind of colour in the sandbox, at full size, and compares the",
        f"pixels with those of {version} on an sRGB canvas. The figures are means of the differences, of 255.",
        "The bound is 3; 10 for HDR. Chromium decides. The other columns show how far other decoders are from it: some",
        "of them leave colours as they are. Chromium reads no HEIC, does not turn a WebP, takes an AVIF's alpha for",
        "limited range, passes over `clap` and over the profile of inks, and mirrors an AVIF last whatever the order of",
        "its properties. There it gets a PNG of what the standard says instead.",
        "`-` stands where a decoder does not read the format, `none` where it gives no picture of that size.",
        "",
        *([f"Absent in this run: {', '.join(absent)}.", ""] if absent else []),
        "| picture | Nightlight | bound | " + " | ".join(PEERS) + " |",
        "| --- | --- | --- |" + " --- |" * len(PEERS),
    ]
    for row in rows:
        ours = row["text"] if row["error"] is None else f"{row['error']:.2f}"
        others = [_figure(row["peers"], name) for name in PEERS]
        lines.append(f"| {row['case']} | {ours} | {row['bound']:g} | {' | '.join(others)} |")
    PAGE.write_text("\n".join([*lines, ""]), "utf-8")


def _figure(errors, name):
    if name not in errors:
        return "-"
    return "none" if errors[name] is None else f"{errors[name]:.2f}"
