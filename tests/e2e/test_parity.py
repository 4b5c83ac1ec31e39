"""Outsiders cannot tell ages apart by anything; and the gate that says so sees a leak of one answer in a hundred."""

from dataclasses import replace

import numpy as np
import pytest

from nightlight.cli import key_commands
from tests.parity.flip import flipped
from tests.parity.observe import Observer
from tests.parity.uploads import upload_of

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PROFILES = [f"flip-{number}" for number in range(3)]


@pytest.fixture(scope="module")
def profiles(client):
    for profile_id in PROFILES:
        client.declare(profile_id, band="adult", assurance="verified", region="eu", choice="connections")
    images = [client.upload(profile_id, upload_of(number, profile_id)) for number, profile_id in enumerate(PROFILES)]
    assert {client.wait(image.image_id).state for image in images} == {"ready"}
    return PROFILES


@pytest.fixture
def observer(stack):
    observer = Observer(stack, key_commands.token(stack.folder, scopes=["decide"], subject="parity", hours=12))
    yield observer
    observer.close()


def test_nothing_that_an_outsider_sees_follows_the_age(client, observer, profiles):
    assert list(flipped(client, observer, profiles)) == []


class Leaking:
    """An observer to whom one answer in a hundred about minors is a byte longer."""

    def __init__(self, observer, share):
        self.observer, self.share, self.looks, self.leaks = observer, share, 0, 0
        self.minors = False

    def look(self, *asked):
        look = self.observer.look(*asked)
        self.looks += self.minors
        if self.minors and self.looks % round(1 / self.share) == 50:
            self.leaks += 1
            return replace(look, exact=(*look.exact[:-1], look.exact[-1] + "!"))
        return look


def test_a_planted_leak_of_one_answer_in_a_hundred_is_caught(client, observer, profiles):
    leaking = Leaking(observer, 0.01)

    class Client:
        """Tells the observer which age is declared."""

        def __getattr__(self, name):
            return getattr(client, name)

        def declare(self, profile_id, *, band, **assertion):
            leaking.minors = band not in {"adult", "unknown"}
            return client.declare(profile_id, band=band, **assertion)

    differences = list(flipped(Client(), leaking, profiles, rounds=5, bands=("adult", "age_13_15")))
    assert leaking.leaks >= 1
    assert len(differences) == leaking.leaks


def test_a_classifier_that_sees_nothing_guesses_and_one_that_sees_something_is_found_out():
    from tests.parity.guess import judged

    random = np.random.default_rng(3)
    minor, groups = random.random(20_000) < 0.5, random.integers(0, 200, 20_000)
    blind = judged(random.random(20_000), minor, groups, permutations=300)
    assert blind.upper < 0.52
    assert min(blind.auc_by_chance, blind.found_by_chance) > 0.004
    leaked = judged(random.random(20_000) + (minor & (random.random(20_000) < 0.05)), minor, groups, permutations=300)
    assert leaked.upper > 0.52
    assert max(leaked.auc_by_chance, leaked.found_by_chance) < 0.004
    # One name that is seen a hundred times and happens to look like a minor's is no leak.
    lucky = random.random(20_000) + 2 * (minor & (groups == groups[minor][0]))
    assert judged(lucky, minor, groups, permutations=300).found_by_chance > 0.05
