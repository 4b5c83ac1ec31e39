"""(a) Paired flip: the same profile, the same picture, the same requests; only the age that is declared changes."""

from dataclasses import dataclass

from tests.parity.observe import OUTSIDERS
from tests.support.waiting import eventually

BANDS = ("unknown", "under_13", "age_13_15", "age_16_17", "adult")


@dataclass(frozen=True)
class Difference:
    """Two looks at one profile that differ, by which ages, and in what."""

    profile_id: str
    outsider: tuple[str, str]
    bands: tuple[str, str]
    what: tuple


def declare(client, profile_id, band, placeholder):
    """Declare an age, and wait until the picture has its new names: its owner sees it again."""
    client.declare(profile_id, band=band, assurance="verified", region="eu", choice="connections")
    eventually(lambda: client.decide("peer", "profile", [(profile_id, "self")])[0].url.split("?")[0] != placeholder)


def placeholder_of(client):
    (decision,) = client.decide("peer", "profile", [("no-such-profile", "self")])
    return decision.url.split("?")[0]


def flipped(client, observer, profile_ids, *, rounds=1, bands=BANDS):
    """Yield every difference between two ages that any outsider could see."""
    placeholder = placeholder_of(client)
    for _ in range(rounds):
        before = {}
        for band in bands:
            for profile_id in profile_ids:
                declare(client, profile_id, band, placeholder)
            for profile_id in profile_ids:
                for outsider in OUTSIDERS:
                    now = observer.look(profile_id, *outsider).exact
                    first_band, first = before.setdefault((profile_id, outsider), (band, now))
                    if now != first:
                        pairs = zip(first, now, strict=True)
                        yield Difference(
                            profile_id, outsider, (first_band, band), tuple(p for p in pairs if p[0] != p[1])
                        )
