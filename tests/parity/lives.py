"""Scripts, and the lives that are led along them.

A script says what happens to a profile that an outsider may notice: uploads, reports, holds, choices, moves, erasures,
takedown notices.
Several profiles run the same script at the same moments and with the same pictures; they differ in their ages alone:
in what is asserted of them, in birthdays, corrections, and assertions that lapse, or in how sure the platform is. The
first of them, the control, is asserted again at every moment and never changes. Whatever an outsider sees of the
others must be what is seen of it.
"""

from dataclasses import dataclass

import numpy as np

BANDS = ("unknown", "under_13", "age_13_15", "age_16_17", "adult")
PROTECTED = BANDS[:-1]
SURE = ("verified", "estimated", "self_declared")
# Days between moments. An assertion lapses after 30 days: two moments without one, or the longest wait, which is
# everybody's. Their sum stays well within the year that the development certificates last.
DAYS = (0, 1, 12, 20, 25, 40, 3, 18, 16)
# What a script may do at a moment, and how often.
_EVENTS = {
    "nothing": 0.28, "upload": 0.1, "report": 0.1, "clear": 0.1, "hide": 0.06, "show": 0.06, "move": 0.06,
    "revoke": 0.04, "block": 0.04, "hold": 0.03, "delete_image": 0.02, "delete_profile": 0.03, "takedown": 0.04,
    "undo": 0.04,
}  # fmt: skip
_CHANGES = {"again": 0.3, "silence": 0.2, "birthday": 0.2, "correction": 0.2, "unsure": 0.05, "surer": 0.05}


@dataclass(frozen=True)
class Script:
    """What happens at each moment, the choice and region that then hold, and who looks."""

    number: int
    events: tuple[str, ...]
    choices: tuple[str, ...]
    regions: tuple[str, ...]
    picture: int


@dataclass(frozen=True)
class Assertion:
    """What the platform says of an age at a moment; ``follow`` is the owner's word about earlier pictures."""

    band: str
    assurance: str
    follow: bool = False


@dataclass(frozen=True)
class Life:
    """An assertion for each moment, None where nothing is said, and the band that counts afterwards."""

    profile_id: str
    assertions: tuple[Assertion | None, ...]
    bands: tuple[str, ...]

    @property
    def changed(self):
        """Whether at each moment another band counts than at the one before."""
        return (False, *(now != before for before, now in zip(self.bands, self.bands[1:], strict=False)))


def scripts(count, everyone, seed):
    """Return ``count`` scripts of profiles that are shown to connections, and ``everyone`` of those shown to all.

    Who chose everyone has one picture, from the first moment: an adult's is open from the start, and no outsider may
    notice whose is not, as long as nobody says that it may follow the age.
    """
    result = []
    for number in range(count + everyone):
        random = np.random.default_rng((seed, number))
        chose = "connections" if number < count else "everyone"
        words = [word for word in _EVENTS if chose == "connections" or word not in {"upload", "hold", "takedown"}]
        odds = np.array([_EVENTS[word] for word in words])
        drawn = random.choice(words, len(DAYS) - 1, p=odds / odds.sum())
        events = ("upload", *map(str, drawn))
        choices, regions = [chose], [str(random.choice(["eu", "uk"]))]
        for event in events[1:]:
            choices.append({"hide": "hidden", "show": chose}.get(event, choices[-1]))
            home = regions[0]
            regions.append(regions[-1] if event != "move" else "au" if regions[-1] == home else home)
        result.append(Script(number, events, tuple(choices), tuple(regions), int(random.integers(1000))))
    return result


def lives(script, seed):
    """Return the lives of a script: the control, then one that begins in each other band."""
    everyone = script.choices[0] == "everyone"
    control = "age_13_15" if everyone else "adult"
    # An unknown age is no assertion that would hold an adult's picture back.
    begins = [control, *(band for band in (PROTECTED[1:] if everyone else BANDS) if band != control)]
    drawn = []
    for number, band in enumerate(begins):
        random = np.random.default_rng((seed, script.number, number))
        # Of one length, for it is in every answer.
        profile_id = f"life-{script.number:04d}-{number}"
        drawn.append(_life(profile_id, script, band, random, still=number == 0, everyone=everyone))
    return drawn


def _life(profile_id, script, band, random, *, still, everyone):
    assertions = [Assertion(band, "verified")]
    bands, since = [band], 0
    for moment, event in enumerate(script.events[1:], 1):
        since += DAYS[moment]
        change = "again" if still else str(random.choice(list(_CHANGES), p=list(_CHANGES.values())))
        # What only a declaration can say, and what needs a profile that is there.
        must = event in {"upload", "hide", "show", "move"} or script.events[moment - 1] == "delete_profile"
        assertion = _changed(assertions, change, random, must=must)
        if everyone and assertion is not None:
            assertion = Assertion(assertion.band, assertion.assurance, follow=False)
        assertions.append(assertion)
        since = 0 if assertion is not None else since
        last = next(other for other in reversed(assertions) if other is not None)
        bands.append("unknown" if since > 30 or last.assurance == "none" else last.band)
    return Life(profile_id, tuple(assertions), tuple(bands))


def _changed(assertions, change, random, *, must):
    last = next(assertion for assertion in reversed(assertions) if assertion is not None)
    band, assurance = last.band, last.assurance
    if change == "silence" and not must:
        return None
    if change == "birthday":
        band = BANDS[min(BANDS.index(band) + 1, len(BANDS) - 1)]
    elif change == "correction":
        band = str(random.choice([other for other in BANDS if other != band]))
    elif change == "unsure":
        assurance = "none"
    elif change == "surer":
        assurance = str(random.choice(SURE))
    if change in {"birthday", "correction"} and assurance == "none":
        assurance = "verified"
    return Assertion(band, assurance, follow=change in {"birthday", "again"} and random.random() < 0.3)
