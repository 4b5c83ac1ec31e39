"""Templates to pages, and the headers of each."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import Response

if TYPE_CHECKING:
    from jinja2 import Environment

STYLE = """
body { color: #1a1a1a; background: #fff; font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #767676; padding: .4rem .8rem .4rem 0; text-align: left; vertical-align: top; }
article { border-top: 1px solid #767676; margin-top: 1.5rem; padding-top: 1rem; }
.pair { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figcaption { color: #4a4a4a; }
img, .none { background: #ddd; display: block; height: 240px; width: 240px; }
.none { align-content: center; box-sizing: border-box; padding: 1rem; text-align: center; }
form { display: inline-block; margin: .8rem .8rem 0 0; }
button { font: inherit; padding: .4rem .9rem; }
input { font: inherit; width: 30rem; max-width: 100%; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; img-src 'self'; style-src 'sha256-{_STYLE_HASH}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page; every value is escaped."""
    text = _environment().get_template(template).render(style=STYLE, **values)
    return Response(text, status_code=status, media_type="text/html; charset=utf-8", headers=HEADERS)


@cache
def _environment() -> Environment:
    import jinja2

    loader = jinja2.PackageLoader("service.console")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
