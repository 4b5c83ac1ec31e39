"""A run as a page of its own: a timeline, what was violated, and every fault with the time to ready. No script."""

from html import escape

from tests.chaos.deployment import PROCESSES
from tests.chaos.faults import GROUPS

_WIDTH, _LEFT, _LINE = 1400, 130, 22
_BARS = 90
_COLOURS = {"picture": "#3b7", "acknowledged": "#38b", "placeholder": "#bbb", "fallback": "#e93", "failed": "#c33"}
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2em;max-width:1500px;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{padding:2px 10px;text-align:left;border-bottom:1px solid #ddd}
.bad{color:#c33;font-weight:600}.num{text-align:right}svg{width:100%;height:auto;background:#fafafa}
"""


def page(record):
    """HTML of a record (tests.chaos.run.Record)."""
    violated = len(record.violations)
    verdict = f'<p class="bad">{violated} violations.</p>' if violated else "<p>No invariant was violated.</p>"
    slowest = max((fault.ready_s or 0.0 for fault in record.faults), default=0.0)
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Faults under load</title><style>{_STYLE}</style>
<h1>Faults under load</h1>
<p>{len(record.faults)} faults in {record.seconds / 60:.0f} minutes, seed {record.seed}. Ready again after at most
{slowest:.1f} s. {record.counts.get("uploads", 0)} uploads; {_looks(record)} looks at pictures.</p>{verdict}
{_timeline(record)}{_legend()}
<h2>Violations</h2>{_table(("second", "invariant", "what"), [(f"{at:.1f}", kind, what) for at, kind, what in record.violations])}
<h2>Faults</h2>{_table(("second", "fault", "lasted, s", "ready after, s"), [_row(fault) for fault in record.faults])}
<h2>Answers</h2>{_table(("answer", "count"), sorted((name, str(count)) for name, count in record.counts.items()))}
<h2>Processes that ended</h2>{_table(("second", "process", "exit status"), [(f"{at:.1f}", n, str(c)) for at, n, c in record.ended])}
<h2>Notes</h2>{_table(("second", "note"), [(f"{at:.1f}", text) for at, text in record.notes])}
</html>
"""


def _looks(record):
    return sum(count for name, count in record.counts.items() if name.startswith("look "))


def _row(fault):
    ready = "not in time" if fault.ready_s is None else f"{fault.ready_s:.1f}"
    return f"{fault.begun:.1f}", fault.name, f"{fault.healed - fault.begun:.1f}", ready


def _table(head, rows):
    if not rows:
        return "<p>None.</p>"
    cells = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{cells}</table>"


def _timeline(record):
    seconds = max(record.seconds, 1.0)

    def x(second):
        return _LEFT + (_WIDTH - _LEFT - 10) * second / seconds

    lines, parts = [*GROUPS, *PROCESSES], []
    for number, name in enumerate(lines):
        parts.append(f'<text x="4" y="{_LINE * number + 16}" font-size="12">{escape(name)}</text>')
    for fault in record.faults:
        y, width = _LINE * GROUPS.index(fault.group), max(2.0, x(fault.healed) - x(fault.begun))
        tip = f"{fault.name}, {fault.begun:.0f} s"
        parts.append(_bar(x(fault.begun), y + 3, width, _LINE - 6, "#859", tip))
    for number, name in enumerate(PROCESSES):
        parts += _readiness(record.readiness.get(name, []), _LINE * (len(GROUPS) + number), x, seconds)
    bottom = _LINE * len(lines) + 10 + _BARS
    parts += _answers(record.answers, bottom, x)
    for at, kind, what in record.violations:
        tip = escape(f"{kind}: {what}")
        parts.append(
            f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="0" y2="{bottom}" stroke="#c33"><title>{tip}</title></line>'
        )
    for minute in range(int(seconds // 60) + 1):
        parts.append(f'<text x="{x(minute * 60):.1f}" y="{bottom + 14}" font-size="10">{minute}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 20}" role="img" aria-label="timeline, in minutes">{"".join(parts)}</svg>'
    )


def _readiness(samples, y, x, seconds):
    following = [at for at, _ in samples[1:]] + [seconds]
    for (at, ready), until in zip(samples, following, strict=True):
        yield _bar(x(at), y + 6, max(0.5, x(until) - x(at)), _LINE - 12, "#3b7" if ready else "#c33", "")


def _answers(answers, bottom, x):
    """Bars of the answers of each second, one shape upon another."""
    most = max((sum(counts.values()) for counts in answers.values()), default=1)
    for second, counts in answers.items():
        y = bottom
        for shape, colour in _COLOURS.items():
            height = _BARS * counts.get(shape, 0) / most
            y -= height
            if height:
                yield _bar(x(second), y, max(0.5, x(second + 1) - x(second)), height, colour, "")


def _bar(x, y, width, height, colour, tip):
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}">{title}</rect>'


def _legend():
    words = " ".join(f'<span style="color:{colour}">&#9632; {shape}</span>' for shape, colour in _COLOURS.items())
    return f"<p>Faults by kind; each process, ready or not; answers of each second: {words}. Minutes below.</p>"
