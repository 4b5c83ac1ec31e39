"""``nightlight render``: one picture through the whole pipeline, for people who write policies."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from nightlight.cli.files import read_image
from nightlight.cli.output import print_json, print_table, say
from nightlight.imaging.crop import Region
from nightlight.imaging.recipe import build_recipes, with_visible_watermark
from nightlight.policy.compile import compile_folder
from nightlight_core.errors import InvalidInput
from nightlight_core.policy.tier import VisibleWatermarkPattern

if TYPE_CHECKING:
    from nightlight.imaging.contact_sheet import Box
    from nightlight.imaging.recipe import Recipe
    from nightlight.imaging.rendition import RenderResult, Rendition
    from nightlight_core.policy.table import Table as PolicyTable

SHEET = "sheet.png"
PATTERN_SHEET = "patterns.png"
REPORT = "report.json"
# What is rendered here is looked at and thrown away: its invisible watermarks say 0, under a key that everybody knows.
_EXAMPLE_KEY = bytes(32)


def run(picture: Path, policy: Path, out: Path, *, crop: str | None, patterns: bool, as_json: bool) -> None:
    """Render ``picture`` by the policy in ``policy`` into ``out``; print a table, or JSON.

    ``patterns``: its tiers are also drawn with each pattern of the visible watermark.

    Raises what the pipeline raises, PolicyRefused, and InvalidInput for a file that is not there or too large.
    """
    from nightlight.imaging import seccomp
    from nightlight.imaging.decoders import available_formats
    from nightlight.imaging.face import FaceDetector
    from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
    from nightlight.imaging.pipeline import Pipeline
    from nightlight.imaging.probe import UploadCaps
    from nightlight.imaging.sandbox import Sandbox
    from nightlight.imaging.visible_watermark import VisibleWatermark
    from nightlight.settings.pictures import VisibleWatermarkSettings

    data = read_image(picture)
    region = _region(crop)
    compiled = compile_folder(policy)
    table = compiled.table
    settings = VisibleWatermarkSettings()
    design = VisibleWatermark.read(settings.text, settings.logo, settings.font)
    all_recipes = build_recipes(table.tiers, order=compiled.pack.vocabulary.outcomes.tier)
    with Sandbox(require_seccomp=not seccomp.unavailable_reason()) as sandbox:
        pipeline = Pipeline(
            UploadCaps(formats=available_formats()),
            sandbox,
            FaceDetector(),
            design,
            InvisibleWatermarkWriter(_EXAMPLE_KEY),
        )
        # The first picture pays for what is loaded once; the second is what a worker's pictures cost.
        recipes = with_visible_watermark(all_recipes, design.digest)
        pipeline.render(data, recipes, region=region)
        rendered = pipeline.render(data, recipes, region=region)
        report = _report(picture, rendered, table, seccomp=sandbox.seccomp)
        frame = sandbox.frame(data, rendered.header, edge=max(recipe.edge for recipe in all_recipes), region=region)
        sheet = (
            _pattern_sheet(picture.name, recipes, lambda others: pipeline.render(data, others, region=region))
            if patterns
            else None
        )
    out.mkdir(parents=True, exist_ok=True)
    if sheet is not None:
        (out / PATTERN_SHEET).write_bytes(sheet)
    for rendition in rendered.renditions:
        (out / _name(rendition)).write_bytes(rendition.data)
    from nightlight.imaging.contact_sheet import tier_sheet

    (out / SHEET).write_bytes(tier_sheet(picture.name, frame, rendered))
    (out / REPORT).write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if as_json:
        print_json(report)
    else:
        _show(report, out)


def _pattern_sheet(name: str, recipes: Sequence[Recipe], render: Callable[[Sequence[Recipe]], RenderResult]) -> bytes:
    """Return a PNG of the tiers that have a visible watermark: without it, and with each pattern, as served."""
    from nightlight.imaging.contact_sheet import pattern_sheet

    # A tier that requires its invisible watermark has no rendition where that does not read back: here it has one.
    watermarked = [
        replace(recipe, variants=1, invisible_watermark=recipe.invisible_watermark.replace("required", "best_effort"))
        for recipe in recipes
        if recipe.visible_watermark != "none"
    ]
    if not watermarked:
        raise InvalidInput("--patterns: no tier of this policy has a visible watermark")
    results = [render([replace(recipe, visible_watermark="none") for recipe in watermarked])]
    patterns: tuple[str, ...] = get_args(VisibleWatermarkPattern)
    results += [render([replace(recipe, visible_pattern=pattern) for recipe in watermarked]) for pattern in patterns]
    box = _face_box(results[0])
    rows = [
        (f"{recipe.tier}, {recipe.visible_watermark}", box, [result.renditions[number].data for result in results])
        for number, recipe in enumerate(watermarked)
    ]
    return pattern_sheet(name, ["no watermark", *patterns], rows)


def _face_box(rendered: RenderResult) -> Box:
    """Return a square around the likeliest face in shares of the kept square, or its middle where no face is."""
    left, top, right, _ = rendered.square
    side = right - left
    x, y, half = 0.5, 0.5, 0.25
    if rendered.search.faces:
        face = rendered.search.faces[0]
        x, y = (face.left + face.width / 2 - left) / side, (face.top + face.height / 2 - top) / side
        half = min(0.6 * max(face.width, face.height) / side, 0.5)
    x, y = min(max(x, half), 1 - half), min(max(y, half), 1 - half)
    return x - half, y - half, x + half, y + half


def _region(crop: str | None) -> Region | None:
    if crop is None:
        return None
    try:
        return Region.parse(crop)
    except ValueError as error:
        raise InvalidInput(f"--crop: {error}") from error


def _name(rendition: Rendition) -> str:
    variant = f"-{rendition.variant}" if rendition.variant else ""
    return f"{rendition.recipe.tier}{variant}.{'jpg' if rendition.recipe.format == 'jpeg' else rendition.recipe.format}"


def _report(picture: Path, rendered: RenderResult, table: PolicyTable, *, seccomp: bool) -> dict[str, Any]:
    header = rendered.header
    return {
        "picture": picture.name,
        "format": header.format.value,
        "width": header.width,
        "height": header.height,
        "sandbox": "seccomp" if seccomp else "limits_only",
        "policy_digest": table.digest,
        "frame": rendered.frame.size,
        "square": rendered.square,
        "faces": [{name: round(value, 3) for name, value in asdict(face).items()} for face in rendered.search.faces],
        "face_share": round(rendered.face_share, 4),
        "stages_ms": {stage: round(ms, 2) for stage, ms in rendered.stages.items()},
        "tiers": [
            {
                "tier": rendition.recipe.tier,
                "file": _name(rendition),
                "edge": rendition.width,
                "bytes": len(rendition.data),
                "max_bytes": rendition.recipe.max_bytes,
                "face_px": rendition.recipe.face_px,
                "no_face_px": rendition.recipe.no_face_px,
                "face_px_made": round(rendition.face_px, 2) if rendition.face_px is not None else None,
                "no_face": rendition.no_face,
                "detail_px": rendition.grid,
                "blurhash": rendition.blurhash,
                "invisible_watermark": rendition.recipe.invisible_watermark,
                "invisible_watermark_agreement": None if rendition.agreement is None else round(rendition.agreement, 2),
            }
            for rendition in rendered.renditions
        ],
    }


def _read_back(tier: dict[str, Any]) -> str:
    if tier["invisible_watermark"] == "none":
        return "none"
    agreement = tier["invisible_watermark_agreement"]
    return "no" if agreement is None else f"{agreement:.2f}"


def _show(report: dict[str, Any], out: Path) -> None:
    sure = [face for face in report["faces"] if face["confidence"] >= _sure()]
    none = "no sure face: the whole picture counts as one"
    if any(tier["no_face"] for tier in report["tiers"]):
        none = "no face"
    faces = f"{len(sure)} face{'s' if len(sure) != 1 else ''}" if sure else none
    say(
        f"{report['picture']}: {report['format']}, {report['width']} x {report['height']}; {faces}; the widest takes "
        f"{100 * report['face_share']:.0f} % of the square"
    )
    titles = ("tier", "edge", "bytes", "face budget", "across the face", "detail in all", "mark reads", "file")
    rows = []
    for tier in report["tiers"]:
        budget, actual = tier["face_px"], tier["face_px_made"]
        across = "no face" if tier["no_face"] else "" if actual is None else f"{actual:.1f} px"
        face = "none" if budget is None else f"{budget} px", across
        sizes = f"{tier['edge']} px", tier["bytes"], *face, f"{tier['detail_px']} px"
        rows.append((tier["tier"], *sizes, _read_back(tier), tier["file"]))
    print_table(titles, rows, right=titles[1:-1])
    say("CPU ms: " + ", ".join(f"{stage} {ms:.1f}" for stage, ms in report["stages_ms"].items()))
    say(f"look at {out / SHEET}; everything is in {out / REPORT}")


def _sure() -> float:
    from nightlight.imaging.face import SURE_CONFIDENCE

    return SURE_CONFIDENCE
