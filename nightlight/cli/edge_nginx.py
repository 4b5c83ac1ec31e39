"""nginx's configuration for an edge in front of a platform's avatar URLs: what is asked for, checked, and written."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, StrictUndefined

from nightlight.cli.edge_schemes import SCHEMES, url_patterns
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.errors import InvalidInput

TEMPLATES = Path(__file__).parent / "edge_templates"
HTTP, LOCATIONS, TOKEN, PLACEHOLDER = "http.conf", "locations.conf", "token.conf", "placeholder.webp"
# Every status that is no picture and that `error_page` takes, but for 304.
STATUSES = " ".join(
    str(status)
    for begin, end in ((300, 304), (305, 309), (400, 419), (421, 427), (428, 432), (451, 452), (500, 512))
    for status in range(begin, end)
)
_NAME = re.compile(r"[a-z][a-z0-9]{0,9}")
_WORD = re.compile(r"[a-z_]{1,32}")
_COOKIE = re.compile(r"[A-Za-z0-9_]{1,64}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_FILE = re.compile(r"/[A-Za-z0-9._/-]{1,255}")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_URL_PATH = re.compile(r"[A-Za-z0-9._~/%-]*")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{32,512}")
# The least and the most that is kept: a decision is of a moment; a picture is fetched again, and revocations looked at.
_MOST_KEPT_S, _MOST_BROWSER_S = 60, 3600


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """What the command is asked for, as its options are named; see ``edge_commands``."""

    name: str
    scheme: str
    at: str | None
    path: str | None
    source: str | None
    service: str
    pictures: str | None
    viewer_cookie: str | None
    viewer_header: str | None
    viewer_session: str | None
    viewer_certificate: bool
    proof_header: bool
    ids: str | None
    ids_url: str | None
    context: str
    old: str | None
    keep_decisions: int
    browser: int
    cache: str
    log: str


@dataclass(frozen=True, slots=True)
class Origin:
    """A server that the edge asks: scheme, address, host as TLS knows it, path."""

    scheme: str
    address: str
    host: str
    path: str

    @property
    def tls(self) -> bool:
        """Say whether it is asked by TLS."""
        return self.scheme == "https"


def origin(url: str, option: str) -> Origin:
    """Return the server of a URL; raise InvalidInput for what nginx could read as something else."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = 0
    host = parts.netloc.rpartition(":")[0] if parts.netloc.endswith(f":{port}") else parts.netloc
    good = (
        parts.scheme in {"http", "https"} and _HOST.fullmatch(host) and port and not parts.query and not parts.fragment
    )
    if not good or not _URL_PATH.fullmatch(parts.path):
        raise InvalidInput(f"{option} is a URL such as http://127.0.0.1:8080/path, without a query")
    return Origin(parts.scheme, f"{host}:{port}", host, parts.path)


def files(options: EdgeOptions, token: str, folder: str) -> dict[str, bytes]:
    """Return the files of a configuration by name; ``folder`` is where nginx will find them. Raises InvalidInput."""
    if not _TOKEN.fullmatch(token):
        raise InvalidInput("the edge's token has 32 characters or more, of letters, digits and -._~+/=")
    values = _checked(options, folder)
    values["token_file"] = f"{folder}/{options.name}.{TOKEN}"
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701 - no HTML: every value was checked
    texts = {
        name: _indented(environment.from_string((TEMPLATES / f"{name}.jinja").read_text("utf-8")).render(values))
        for name in (HTTP, LOCATIONS)
    }
    texts[TOKEN] = f'proxy_set_header Authorization "Bearer {token}";\n'
    return {
        **{f"{options.name}.{name}": text.encode() for name, text in texts.items()},
        PLACEHOLDER: placeholder_bytes(),
    }


def _indented(text: str) -> str:
    """Return a configuration with each line as far in as its blocks are deep."""
    lines, depth = [], 0
    for line in map(str.strip, text.splitlines()):
        depth -= line.startswith("}")
        lines.append(f"{'    ' * depth}{line}".rstrip())
        depth += line.endswith("{") and not line.startswith("#")
    return "\n".join(lines) + "\n"


def _checked(options: EdgeOptions, folder: str) -> dict[str, Any]:
    """Return the templates' values; raise InvalidInput for an option that nginx could read as something else."""
    for value, pattern, option in (
        (options.name, _NAME, "--name is a letter and up to 9 letters and digits, in lower case"),
        (options.context, _WORD, "--context is a word of the policy's vocabulary"),
        (options.viewer_cookie or "x", _COOKIE, "--viewer-cookie is the name of a cookie: letters, digits and _"),
        (options.viewer_header or "x", _HEADER, "--viewer-header is the name of a header"),
        (options.cache, _FILE, "--cache is the full path of a folder"),
        (options.ids or "/x", _FILE, "--ids is the full path of a file"),
        (folder, _FILE, "--out is the full path of a folder, of letters, digits and -._"),
        ("/x" if options.log == "off" else options.log, _FILE, "--log is the full path of a file, or off"),
    ):
        if not pattern.fullmatch(value):
            raise InvalidInput(option)
    if not 0 <= options.keep_decisions <= _MOST_KEPT_S or not 0 <= options.browser <= _MOST_BROWSER_S:
        raise InvalidInput(f"--keep-decisions is 0 to {_MOST_KEPT_S} seconds, --browser 0 to {_MOST_BROWSER_S}")
    variable = f"nightlight_{options.name}"
    patterns = url_patterns(
        options.scheme, at=options.at, path=options.path, source=options.source, variable=f"{variable}_url"
    )
    service = origin(options.service, "--service")
    return {
        "options": options,
        "v": variable,
        "patterns": patterns,
        "folder": folder,
        "statuses": STATUSES,
        "service": service,
        "pictures": origin(options.pictures, "--pictures") if options.pictures else service,
        "session": origin(options.viewer_session, "--viewer-session") if options.viewer_session else None,
        "owner": _owner(options),
        "old": _old(options),
        "viewers": _viewers(options),
        "vary": _vary(options),
        "etag": hashlib.sha256(placeholder_bytes()).hexdigest()[:32],
        "browser": f"private, max-age={options.browser}" if options.browser else "no-store",
    }


def _vary(options: EdgeOptions) -> str:
    """Return the headers by which browsers tell one viewer's picture from another's."""
    more = [options.viewer_header or "Authorization", "Nightlight-Proof" if options.proof_header else "Cookie"]
    return ", ".join(dict.fromkeys(["Cookie", "Authorization", *more]))


def _viewers(options: EdgeOptions) -> str:
    """Return how viewers are told: ``token``, ``session``, ``certificate``, ``nobody``; raise InvalidInput for two."""
    chosen = [
        name
        for name, given in (
            ("token", options.viewer_cookie or options.viewer_header),
            ("session", options.viewer_session),
            ("certificate", options.viewer_certificate),
        )
        if given
    ]
    if len(chosen) > 1:
        raise InvalidInput("viewers are told in one way: by a token, by the platform's session or by a certificate")
    return chosen[0] if chosen else "nobody"


def _owner(options: EdgeOptions) -> Origin | None:
    if options.ids and options.ids_url:
        raise InvalidInput("either --ids or --ids-url")
    if SCHEMES[options.scheme].ids and not (options.ids or options.ids_url):
        raise InvalidInput(f"{options.scheme} has hashes of e-mail addresses: say whose they are by --ids or --ids-url")
    return origin(options.ids_url, "--ids-url") if options.ids_url else None


def _old(options: EdgeOptions) -> dict[str, Any] | None:
    """Return where the old pictures are: a server, and what stands before and after the id in their path."""
    if options.old is None:
        return None
    before, hole, after = options.old.partition("{id}")
    if not hole:
        raise InvalidInput(
            "--old is the URL of the old pictures with {id}, such as http://127.0.0.1:9000/avatars/{id}.jpg"
        )
    server, rest = origin(before, "--old"), origin(f"http://x/{after}", "--old").path.removeprefix("/")
    return {"server": server, "before": server.path, "after": rest}
