"""Avatar URLs of other software, as patterns that find the profile in them.

::

    plain       /avatars/{id}?s=                             any path of the platform's own, as a template
    gravatar    /avatar/{md5 or sha256 of an e-mail address}  docs.gravatar.com; Libravatar's are the same
    libravatar  likewise                                      wiki.libravatar.org/api
    thumbor     /{signature}/{options}/{source}               thumbor.readthedocs.io, "Usage"
    imgproxy    /{signature}/{options}/plain/{source}@{ext}   docs.imgproxy.net, "Processing an image"; or the source in
                                                              base64url, which the service decodes
    mastodon    /system/accounts/avatars/110/1.../original/   account ids in parts of three digits
    discourse   /user_avatar/{host}/{username}/{size}/{version}.png

A pattern is held against the path as it was sent, whole, with what is encoded left encoded. What does not fit names
nobody. Sizes, formats, options and signatures are read over: they decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nightlight_core.errors import InvalidInput

# What may stand in a part of a path (RFC 3986, section 3.3), quotes and $ by their numbers, for nginx's sake.
_CHARACTER = r"(?:[A-Za-z0-9._~!&()*+,;=:@\x24\x27-]|%[0-9A-Fa-f][0-9A-Fa-f])"
_PART, _END = r"[^/?]+", r"(?:\?|$)"
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9._~:/@+=,&!*-]*")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_HOLE = re.compile(r"\{([a-z]+)\}")
_HEX = r"(?<{key}>[0-9A-Fa-f]{{32}}|[0-9A-Fa-f]{{64}})"
# An account id of Mastodon has up to 19 digits, in 3 to 7 parts (Paperclip's id_partition).
_PARTS = 6


@dataclass(frozen=True, slots=True)
class UrlPatterns:
    """What a scheme's URLs look like.

    ``prefixes`` are the paths that they begin with; everything below belongs to the edge. ``patterns`` are (regular
    expression of PCRE, value of nginx's `map`); each names its groups after ``variable``. ``source`` is the pattern of
    a path with an encoded source, where there are such paths, and ``source_form`` what such sources look like.
    """

    prefixes: Sequence[str]
    patterns: Sequence[tuple[str, str]]
    source: str | None = None
    source_form: str = ""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A scheme: what it is called, whether it needs to be told whose keys are whose, and what makes its patterns."""

    about: str
    at: str
    build: Callable[[str, str, str], UrlPatterns]
    source: bool = False
    ids: bool = False


def url_patterns(name: str, *, at: str | None, path: str | None, source: str | None, variable: str) -> UrlPatterns:
    """Return what the URLs of a scheme look like; raise InvalidInput for an option that does not fit.

    ``at`` is the path that the scheme is found under, ``path`` the template of `plain`, ``source`` that of the source
    of thumbor and imgproxy. ``variable`` begins the names of the patterns' groups.
    """
    scheme = SCHEMES.get(name)
    if scheme is None:
        raise InvalidInput(f"no scheme {name!r}; there are {', '.join(SCHEMES)}")
    if (path is not None) and name != "plain":
        raise InvalidInput("--path is for the scheme plain")
    if (source is not None) != scheme.source:
        raise InvalidInput(f"--source is {'missing' if scheme.source else 'for thumbor and imgproxy'}")
    where = (path or scheme.at) if name == "plain" else (at or scheme.at)
    if name == "plain" and at is not None:
        raise InvalidInput("--at is not for the scheme plain: --path says it all")
    if name != "plain" and (not where.startswith("/") or not where.endswith("/") or not _PLAIN_TEXT.fullmatch(where)):
        raise InvalidInput("--at is a path that begins and ends with /, of letters, digits and -._~")
    return scheme.build(where, source or "", variable)


def template(text: str, option: str, holes: dict[str, str]) -> str:
    """Return a template with holes such as {id} as a regular expression; raise InvalidInput.

    What is not in holes may be percent-encoded in a URL or not.
    """
    if text.count("{id}") != 1:
        raise InvalidInput(f"{option} names {{id}} once, such as avatars/{{id}}.jpg")
    pattern, begin = "", 0
    for hole in _HOLE.finditer(text):
        if hole[1] not in holes:
            raise InvalidInput(f"{option} knows {', '.join('{' + name + '}' for name in holes)}, not {hole[0]}")
        pattern += _literal(text[begin : hole.start()], option) + holes[hole[1]]
        begin = hole.end()
    return pattern + _literal(text[begin:], option)


def _literal(text: str, option: str) -> str:
    if not _PLAIN_TEXT.fullmatch(text):
        raise InvalidInput(f"{option} has a character that no path has as it is; encode it as a URL does")
    return "".join(re.escape(c) if _UNRESERVED.fullmatch(c) else f"(?:{re.escape(c)}|%{_hex(c)})" for c in text)


def _hex(character: str) -> str:
    return "".join(f"[{digit}{digit.lower()}]" if digit.isalpha() else digit for digit in f"{ord(character):02X}")


def _id(variable: str) -> str:
    return rf"(?<{variable}>{_CHARACTER}+?)"


def _plain(path: str, _source: str, variable: str) -> UrlPatterns:
    if not path.startswith("/"):
        raise InvalidInput("--path begins with /")
    pattern = template(path, "--path", {"id": _id(variable), "size": "[0-9]+", "any": _PART})
    prefix = path[: path.index("{")].rpartition("/")[0] + "/"
    return UrlPatterns([prefix], [(f"^{pattern}{_END}", f"${variable}")])


def _hashes(at: str, _source: str, variable: str) -> UrlPatterns:
    pattern = rf"^{re.escape(at)}{_HEX.format(key=variable)}(?:\.[A-Za-z0-9]+)?{_END}"
    return UrlPatterns([at], [(pattern, f"${variable}")])


def _thumbor(at: str, source: str, variable: str) -> UrlPatterns:
    inside = template(source, "--source", {"id": _id(variable), "any": _PART})
    return UrlPatterns([at], [(rf"^{re.escape(at)}{_PART}/(?:[^?]*(?:/|%2[Ff]))?{inside}{_END}", f"${variable}")])


def _imgproxy(at: str, source: str, variable: str) -> UrlPatterns:
    inside = template(source, "--source", {"id": _id(variable)})
    plain = rf"^{re.escape(at)}{_PART}/(?:[^?]*/)?plain/{inside}(?:@[A-Za-z0-9]+)?{_END}"
    # Options have a colon each; the parts of an encoded source have none.
    encoded = (
        rf"^{re.escape(at)}{_PART}/(?:[^/?]*:[^/?]*/)*(?<{variable}_source>[A-Za-z0-9_/=-]+)(?:\.[A-Za-z0-9]+)?{_END}"
    )
    return UrlPatterns([at], [(plain, f"${variable}")], encoded, source)


def _mastodon(at: str, _source: str, variable: str) -> UrlPatterns:
    names = [f"{variable}_{number}" for number in range(_PARTS + 1)]
    more = "".join(f"(?:/(?<{name}>[0-9]{{3}})" for name in names[1:]) + ")?" * _PARTS
    digits = rf"(?:000/)*0{{0,2}}(?<{names[0]}>[1-9][0-9]{{0,2}}){more}"
    pattern = rf"^{re.escape(at)}(?:cache/)?accounts/avatars/{digits}/(?:original|static)/{_PART}{_END}"
    prefixes = [f"{at}accounts/avatars/", f"{at}cache/accounts/avatars/"]
    return UrlPatterns(prefixes, [(pattern, "".join(f"${{{name}}}" for name in names))])


def _discourse(at: str, _source: str, variable: str) -> UrlPatterns:
    pattern = rf"^{re.escape(at)}user_avatar/{_PART}/{_id(variable)}/[0-9]+/[A-Za-z0-9_]+\.(?:png|gif|webp){_END}"
    return UrlPatterns([f"{at}user_avatar/"], [(pattern, f"${variable}")])


SCHEMES = {
    "plain": Scheme("a path of the platform's own, such as /avatars/{id}", "/avatars/{id}", _plain),
    "gravatar": Scheme("hashes of e-mail addresses, as Gravatar has them", "/avatar/", _hashes, ids=True),
    "libravatar": Scheme("hashes of e-mail addresses, as Libravatar has them", "/avatar/", _hashes, ids=True),
    "thumbor": Scheme("thumbor's URLs", "/", _thumbor, source=True),
    "imgproxy": Scheme("imgproxy's URLs, sources plain or in base64url", "/", _imgproxy, source=True),
    "mastodon": Scheme("Mastodon's local and cached avatars", "/system/", _mastodon),
    "discourse": Scheme("Discourse's avatars by username", "/", _discourse),
}
