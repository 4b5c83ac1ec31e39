"""Pictures that are gone: under a takedown notice, kept dark by one, erased, never there. One placeholder for all.

Of each age there is a profile for each way of having no picture, and an outsider looks at all of them, before and after
the work is done; and at the URLs that were given out before. Whatever is seen must be what is seen of a profile that
never was, and of a URL that was given out of an adult's.
"""

from contextlib import closing
from dataclasses import dataclass
from functools import cache

import httpx

from nightlight.flows.takedowns.requests import KINDS
from tests.parity.lives import BANDS
from tests.parity.observe import OUTSIDERS, Observer
from tests.support import pictures
from tests.support.lists import LISTED

# What became of a profile's picture; the first is a profile of which nobody has ever heard.
NEVER, DECLARED, TAKEN_DOWN, KEPT_DARK, ERASED, PROFILE_ERASED = WAYS = (
    "never-was", "declared", "taken-down", "kept-dark", "erased", "profile-erased",
)  # fmt: skip
# How long the proof of an erasure takes, after which the rows go.
_PROVED = {"hours": 3}


@dataclass(frozen=True)
class Unlike:
    """A look that differs from that at a profile that never was, or a fetch that differs from the control's."""

    who: str
    when: str
    outsider: tuple[str, str] | None
    what: tuple


def name(way, band):
    """The profile of a way and an age: names of one length, for they are in every answer."""
    return f"gone-{WAYS.index(way)}-{BANDS.index(band)}"


def unlike(world):
    """Yield every difference that an outsider could see in a world of one's own."""
    client, urls = world.client, {}
    for band in BANDS:
        for way in WAYS[1:]:
            client.declare(name(way, band), band=band, assurance="verified", region="eu", choice="connections")
    images = {
        (way, band): client.upload(name(way, band), _picture(way)).image_id
        for band in BANDS
        for way in (TAKEN_DOWN, ERASED, PROFILE_ERASED)
    }
    world.work()
    with closing(Observer(world, world.token("decide"))) as observer:
        for way, band in images:
            (decision,) = client.decide("peer", "profile", [(name(way, band), "stranger")])
            urls[way, band] = decision.url
        placeholder = client.decide("peer", "profile", [(name(NEVER, "adult"), "stranger")])[0].url.split("?")[0]
        shown = [place for place, url in urls.items() if url.split("?")[0] == placeholder]
        yield from (Unlike(name(*place), "at the beginning", None, ("no picture is shown",)) for place in shown)
        for (way, band), image_id in images.items():
            _take_away(world, way, name(way, band), image_id)
        yield from _looks(observer, urls, "before the work")
        world.work()
        for band in BANDS:
            client.upload(name(KEPT_DARK, band), _picture(TAKEN_DOWN))
        world.work()
        yield from _not_hidden(world)
        yield from _looks(observer, urls, "after the work", settled=True)
        world.forward(**_PROVED)
        world.work()
        yield from _looks(observer, urls, "once the rows are gone", settled=True)


@cache
def _picture(way):
    """A photograph for those that a notice is about, so that copies are found; another picture for the others."""
    if way != TAKEN_DOWN:
        return pictures.jpeg(240, 240, seed=WAYS.index(way))
    return pictures.encoded(pictures.opened(pictures.photograph(LISTED)).convert("RGB").resize((240, 240)), "JPEG")


def _take_away(world, way, profile_id, image_id):
    if way == TAKEN_DOWN:
        world.client.place_takedown(kind=KINDS[0], reference=profile_id, image_id=image_id)
    elif way == ERASED:
        world.client.delete_image(image_id)
    else:
        world.client.delete_profile(profile_id)


def _looks(observer, urls, when, *, settled=False):
    """Compare looks; what is taken down by a job is as it was until then, and then of one kind with the others."""
    ways = [way for way in WAYS if settled or way != TAKEN_DOWN]
    for outsider in OUTSIDERS:
        never = observer.look(name(NEVER, "adult"), *outsider).exact
        for way in ways:
            for band in BANDS:
                seen = observer.look(name(way, band), *outsider).exact
                if seen != never:
                    differing = tuple(pair for pair in zip(never, seen, strict=True) if pair[0] != pair[1])
                    yield Unlike(name(way, band), when, outsider, differing)
    for way in {way for way, _ in urls}:
        control = _fetched(urls[way, "adult"])
        for band in BANDS:
            seen = _fetched(urls[way, band])
            if seen != control:
                yield Unlike(name(way, band), f"{when}, by its earlier URL", None, (control, seen))


def _fetched(url):
    """What an earlier URL gives: each picture has its own bytes, so that these count where it is the placeholder."""
    answer = httpx.get(url)
    headers = {key for key in answer.headers if key not in {"date", "x-request-id"}}
    return answer.status_code, frozenset(headers), answer.headers.get("cache-control", "").partition("=")[0]


def _not_hidden(world):
    """Yield the profiles of which something is shown although a notice is about it: then nothing was compared."""
    with world.catalogue.reading() as tx:
        for way in (TAKEN_DOWN, KEPT_DARK):
            for band in BANDS:
                states = {image.state for image in tx.images.of_profile(name(way, band))}
                if states != {"quarantined"}:
                    yield Unlike(name(way, band), "after the work", None, tuple(states))
