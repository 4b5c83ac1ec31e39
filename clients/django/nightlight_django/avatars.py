"""Pictures of a page: asked about in one call, and written as HTML that tells nothing but the decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from django.utils.safestring import SafeString

from nightlight_django import conf
from nightlight_django.owners import profile_id_of
from nightlight_django.viewers import pictures_here

if TYPE_CHECKING:
    from nightlight_client import Decision


@dataclass(frozen=True, slots=True)
class Avatar:
    """A picture as the viewer may see it; ``{{ avatar }}`` writes it as an image."""

    owner: Any
    url: str
    blurhash: str
    capture: str
    alt: str

    def html(self, css_class: str = "") -> SafeString:
        """Return the image element; everything in it is escaped."""
        # html.escape is what Django's own comes to, in a third of its time: a page has a hundred of these.
        named = f' class="{escape(css_class)}"' if css_class else ""
        return SafeString(
            f'<img src="{escape(self.url)}" alt="{escape(self.alt)}" data-blurhash="{escape(self.blurhash)}"'
            f' data-capture="{escape(self.capture)}"{named} loading="lazy">'
        )

    def __str__(self) -> Any:
        """Return the image element."""
        return self.html()

    def __html__(self) -> Any:
        """Return the image element."""
        return self.html()


def avatars(owners: Iterable[Any], context: str | None = None) -> list[Avatar]:
    """Return the pictures of accounts, in order, for the viewer of the request: one call for all of them."""
    listed = list(owners)
    decisions = pictures_here().decisions([profile_id_of(owner) for owner in listed], context)
    return _written(listed, decisions)


async def aavatars(owners: Iterable[Any], context: str | None = None) -> list[Avatar]:
    """Return what ``avatars`` returns, on an event loop; ``owners`` are loaded already."""
    listed = list(owners)
    decisions = await pictures_here().adecisions([profile_id_of(owner) for owner in listed], context)
    return _written(listed, decisions)


def prefetch(owners: Iterable[Any], context: str | None = None) -> None:
    """Ask about the pictures of accounts at once: each ``.url`` of this request is one of the answers."""
    pictures_here().decisions([profile_id_of(owner) for owner in owners], context)


async def aprefetch(owners: Iterable[Any], context: str | None = None) -> None:
    """Do what ``prefetch`` does, on an event loop: before a template or serializer reads ``.url`` there."""
    await pictures_here().adecisions([profile_id_of(owner) for owner in owners], context)


def decision_for(owner: Any, context: str | None = None) -> Decision:
    """Return the decision for one account."""
    (decision,) = pictures_here().decisions([profile_id_of(owner)], context)
    return decision


def _written(owners: list[Any], decisions: list[Decision]) -> list[Avatar]:
    alt = conf.configuration().alt
    return [
        Avatar(owner, decision.url, decision.blurhash, decision.capture, str(alt(owner)))
        for owner, decision in zip(owners, decisions, strict=True)
    ]
