"""The whole render by the default policy: sandbox, faces, both watermarks, encoding, reading back; hashed, signed, put.

Beside it, in the same run and by turns, others make and encode the same four sizes and do nothing else.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import peers
from rich.table import Table

from nightlight.flows.pictures.put_renditions import planned_row, put, sign
from nightlight.provenance.certificates import SigningAlgorithm, create_development_chain
from nightlight.provenance.signing import ManifestSigner, SigningCredential
from nightlight.store.local import LocalStore
from nightlight_core.ids import ImageId

INSIDE = ("decode", "shrink", "normalise", "transfer")
STAGES = ("probe", "sandbox", "face", "resize", "visible_watermark", "invisible_watermark", "encode", "decode_back")
TURNS = 3


def numbers(recipes):
    return {recipe.tier: 0xABCDEF123456 + at for at, recipe in enumerate(recipes)}


def _signer(folder):
    create_development_chain(folder, SigningAlgorithm.ED25519, datetime.now(UTC))
    credential = SigningCredential.read(folder / "chain.pem", folder / "leaf.key.pem", folder / "root.pem")
    return ManifestSigner(credential, lambda: datetime.now(UTC))


def _row(rendition, marks):
    recipe = rendition.recipe
    mark = marks[recipe.tier] if recipe.invisible_watermark != "none" else None
    return planned_row(recipe, token_hex(16), 1, rendition.variant, watermark=mark, watermark_key=None)


def _once(pipeline, sandbox, data, recipes, signer, store):
    """CPU milliseconds of each stage of one picture; those of the sandbox's child are all of its life."""
    marks = numbers(recipes)
    begin = time.thread_time_ns()
    result = pipeline.render(data, recipes, watermark_ids=marks)
    rendered = time.thread_time_ns()
    prepared = [sign(r, _row(r, marks), ImageId("img_bench"), signer) for r in result.renditions]
    signed = time.thread_time_ns()
    for rendition in prepared:
        put(store, rendition)
    ended = time.thread_time_ns()
    call, child = (rendered - begin) / 1e6, sandbox.cpu_s * 1e3
    return {
        **result.stages,
        "here": call,
        "child": child,
        "render": call + child,
        "hash and sign": (signed - rendered) / 1e6,
        "put": (ended - signed) / 1e6,
        "all": call + child + (ended - rendered) / 1e6,
    }


def whole(console, title, data, path, runs, recipes, pipeline, sandbox):  # noqa: PLR0913 - a measuring script
    """Measure ours and the others by turns; print the table, and return the figures."""
    own = [{"edge": r.edge, "quality": r.quality, "effort": r.effort} for r in recipes]
    usual = [{"edge": r.edge, "quality": 80, "effort": 4} for r in recipes]  # what sharp does unless it is told
    rounds, others, why_not = [], {}, {}
    with tempfile.TemporaryDirectory() as name:
        signer, store = _signer(Path(name) / "keys"), LocalStore(Path(name) / "store")
        for _ in range(2):
            _once(pipeline, sandbox, data, recipes, signer, store)
        for _ in range(TURNS):
            rounds += [_once(pipeline, sandbox, data, recipes, signer, store) for _ in range(runs)]
            for words, asked in (("its own quality and effort", usual), ("ours", own)):
                times, why = peers.sharp(path, max(3, runs // TURNS), asked)
                for way in ("separate", "cascade"):
                    row = f"sharp, {'a size at a time' if way == 'separate' else 'cascade'}, {words}"
                    others.setdefault(row, []).append((times[way], times["peak_mb"]) if times else None)
                    why_not[row] = why
            for row in peers.ENCODING:
                times, why = peers.ask(row, path, max(3, runs // TURNS), own)
                others.setdefault(row, []).append((times["cpu_ms"], times["peak_mb"]) if times else None)
                why_not[row] = why
    ours = {
        stage: statistics.median(times.get(stage, 0.0) for times in rounds) for stage in sorted(set().union(*rounds))
    }
    table = Table(title=f"{title}: four sizes ({', '.join(str(r.edge) for r in recipes)} px), encoded")
    for column in ("who", "CPU ms", "our render is", "peak MB of its process"):
        table.add_column(column, justify="left" if column == "who" else "right")
    table.add_row("ours: sandbox, faces, both watermarks, encoding, read-back", f"{ours['render']:.0f}", "", "")
    table.add_row("ours, hashed, signed and put as well", f"{ours['all']:.0f}", "", "")
    figures = {}
    for row, times in others.items():
        if None in times:
            console.print(f"{row}: not measured, {why_not[row]}")
            continue
        cpu, peak = (statistics.median(values) for values in zip(*times, strict=True))
        figures[row] = {"cpu_ms": cpu, "peak_mb": peak, "ours_is": ours["render"] / cpu}
        table.add_row(row, f"{cpu:.0f}", f"{ours['render'] / cpu:.2f} of it", f"{peak:.0f}")
    console.print(table)
    inside = ", ".join(f"{stage} {ours.get(stage, 0.0):.1f}" for stage in INSIDE)
    stages = ", ".join(f"{stage} {ours.get(stage, 0.0):.1f}" for stage in (*STAGES, "hash and sign", "put"))
    console.print(f"  the sandbox's process {ours['child']:.1f} ({inside}); {stages}")
    for recipe in recipes:
        alone = statistics.median(sum(_alone(pipeline, sandbox, data, recipe)) for _ in range(max(3, runs // 2)))
        figures[f"{recipe.tier} alone"] = alone
        console.print(
            f"  {recipe.tier} ({recipe.edge} px) alone: {alone:.0f} ms, {alone / ours['render']:.2f} of all four"
        )
    return {"ours": ours, "others": figures}


def _alone(pipeline, sandbox, data, recipe):
    begin = time.thread_time_ns()
    pipeline.render(data, [recipe], watermark_ids=numbers([recipe]))
    return (time.thread_time_ns() - begin) / 1e6, sandbox.cpu_s * 1e3
