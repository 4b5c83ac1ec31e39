"""The page of an export that a person reads: no script, nothing from elsewhere, headings and tables with headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from nightlight.flows.exports import english as words
from nightlight.flows.exports.document import DOCUMENT, SCHEMA, ExportDocument, PictureEntry

_STYLE = """
body { color: #1a1a1a; background: #fff; font: 1.1rem/1.6 system-ui, sans-serif; margin: 2rem auto; max-width: 42rem;
  padding: 0 1rem; }
h2 { border-top: 1px solid #767676; margin-top: 2.5rem; padding-top: 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #767676; padding: 0.4rem 0.8rem 0.4rem 0; text-align: left; vertical-align: top; }
caption { font-weight: 600; padding: 0.8rem 0; text-align: left; }
.keep { border: 2px solid #1a1a1a; padding: 0.8rem; }
a { color: #0b4f9e; }
"""
_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"


def page(document: ExportDocument) -> str:
    """Return the page of an export, as HTML."""
    account = document.account
    introduction = words.INTRODUCTION.format(made=_moment(document.made_at), account=account.profile_id)
    body = [
        f"<h1>{escape(words.TITLE)}</h1>",
        _text(introduction),
        f'<p class="keep">{escape(words.PRIVATE)}</p>',
        *_account(document),
        f"<h2>{escape(words.PICTURES)}</h2>",
        *(_text(words.NO_PICTURES) for _ in range(not document.pictures)),
        *(line for number, picture in enumerate(document.pictures, 1) for line in _picture(number, picture)),
        *_shown(document),
        *_erased(document),
        f"<h2>{escape(words.MORE)}</h2>",
        "<ul>",
        *(f"<li>{escape(note.format(document=DOCUMENT, schema=SCHEMA))}</li>" for note in words.NOTES),
        "</ul>",
    ]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{escape(words.TITLE)}</title>'
        f"<style>{_STYLE}</style>"
    )
    content = "\n".join(body)
    html = f'<html lang="{words.LANGUAGE}">\n<head>{head}</head>\n<body><main>\n{content}\n</main></body>\n</html>'
    return f"<!doctype html>\n{html}\n"


def _account(document: ExportDocument) -> list[str]:
    account, declared = document.account, document.account.declared
    rows = (
        (words.BAND, _plain(declared.band)),
        (words.COUNTS, _plain(declared.counts_as)),
        (words.ASSURANCE, _plain(declared.assurance)),
        (words.REGION, _plain(declared.region)),
        (words.CHOICE, _plain(declared.choice)),
        (words.CONFIRMED, _moment(declared.at)),
        (words.FIRST, _moment(declared.first_at)),
    )
    lines = [f"<h2>{escape(words.ACCOUNT)}</h2>", "<table>"]
    lines += [f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows]
    lines.append("</table>")
    if account.deactivated_at is not None:
        lines.append(_text(words.DEACTIVATED.format(since=_moment(account.deactivated_at))))
    if account.report_open:
        lines.append(_text(words.REPORTED))
    return lines


def _picture(number: int, picture: PictureEntry) -> list[str]:
    title = words.PICTURE.format(number=number)
    lines = [f"<h3>{escape(title)}</h3>", _text(words.UPLOADED.format(moment=_moment(picture.uploaded_at)))]
    lines.append(_text(words.STATES[picture.state]))
    if picture.reason_in_words or picture.reason:
        lines.append(_text(words.REASON.format(reason=picture.reason_in_words or _plain(picture.reason or ""))))
    for hold in picture.holds:
        until = f" {words.HOLD_UNTIL.format(until=_moment(hold.until))}" if hold.until is not None else ""
        lines.append(_text(words.HOLD.format(kind=hold.kind, since=_moment(hold.since)) + until))
    if picture.original is not None:
        original = picture.original
        facts = words.ORIGINAL_FACTS.format(
            width=original.width, height=original.height, kilobytes=-(-original.bytes // 1000)
        )
        link = f'<a href="{escape(original.file)}">{escape(words.ORIGINAL)} ({escape(title)})</a>'
        lines.append(f"<p>{link}: {escape(facts)}</p>")
    elif picture.state not in {"held", "not_available"} and picture.original_left_out is not None:
        lines.append(_text(words.LEFT_OUT[picture.original_left_out]))
    if picture.events:
        entries = ((_moment(event.at), words.HAPPENED[event.what]) for event in picture.events)
        lines += [f"<h4>{escape(words.EVENTS)}</h4>", "<ul>"]
        lines += [f"<li>{escape(moment)}: {escape(text)}</li>" for moment, text in entries]
        lines.append("</ul>")
    if picture.renditions:
        rows = [
            (rendition.tier, f"{rendition.width} x {rendition.height}", _moment(rendition.made_at))
            for rendition in picture.renditions
        ]
        lines += _table(words.RENDITIONS, words.COLUMNS, rows)
    return lines


def _shown(document: ExportDocument) -> list[str]:
    lines = [f"<h2>{escape(words.SHOWN)}</h2>"]
    if not document.shown:
        return [*lines, _text(words.NOT_SHOWN)]
    edges = {tier.tier: tier.edge for tier in document.tiers}
    most: dict[str, int] = {}
    for entry in document.shown:
        most[entry.relation] = max(most.get(entry.relation, 0), edges.get(entry.tier, 0))
    rows = [
        (words.RELATIONS.get(relation, _plain(relation)), words.AT_MOST.format(edge=edge) if edge else words.NO_PICTURE)
        for relation, edge in most.items()
    ]
    return [*lines, _text(words.SHOWN_HOW), *_table(words.SHOWN, (words.WHO, words.WHAT), rows)]


def _erased(document: ExportDocument) -> list[str]:
    if not document.erased:
        return []
    receipts = sum(len(part.receipts) for part in document.erased)
    how = words.ERASED_HOW.format(count=len(document.erased), receipts=receipts, document=DOCUMENT)
    return [f"<h2>{escape(words.ERASED)}</h2>", _text(how)]


def _table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    lines = [f"<table><caption>{escape(caption)}</caption>", f"<thead><tr>{head}</tr></thead><tbody>"]
    for first, *others in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return [*lines, "</tbody></table>"]


def _text(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _plain(word: str) -> str:
    """Return a word of the policy as people write it."""
    return words.WORDS.get(word, word.replace("_", " "))


def _moment(text: str) -> str:
    """Return the day and minute of an RFC 3339 moment in UTC."""
    return f"{text[:10]} {text[11:16]} UTC"
