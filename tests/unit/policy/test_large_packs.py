"""A pack of nearly two million combinations: proved, signed, loaded and asked as a small one is."""

import json
import random

import pytest

from nightlight.delivery.access_tokens import generate_key
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.checks import failed_checks
from nightlight.policy.mutate import redundant
from nightlight.policy.signing import SigningKey
from nightlight_core.policy.bundle import MAX_BYTES, open_bundle
from nightlight_core.policy.table import DOUBT

REGIONS = ", ".join(f"r_{number}" for number in range(60))


@pytest.fixture(scope="module")
def large(edited_once):
    edited_once.change("vocabulary.yaml", "my, other]", f"my, other, {REGIONS}]")
    edited_once.change("vocabulary.yaml", "context: [", "context: [comments, ")
    return edited_once.compiled()


@pytest.fixture(scope="module")
def bundle(large, tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_text(json.dumps(generate_key()[0]))
    key = SigningKey.read(path)
    data = build_bundle(large, 1, key)
    assert len(data) < MAX_BYTES / 10
    return open_bundle(data, key.public_keys)


def test_it_is_proved(large):
    assert large.space.size > 1_900_000
    assert failed_checks(large) == []
    assert redundant(large) == []


def test_the_table_that_is_loaded_gives_what_was_compiled(large, bundle):
    table, outcomes, chance = bundle.table, large.pack.vocabulary.outcomes, random.Random(5)
    assert len(table) == large.space.size
    assert table.digest == large.table.digest
    for _ in range(5000):
        given = {name: chance.choice(words) for name, words in large.space.attributes.items()}
        outcome, position = table.decide(given), large.space.position(given)
        for field in ("tier", "cache_s", "per_hour"):
            assert getattr(outcome, field) == getattr(outcomes, field)[large.ranks[field][position]]
        name = chance.choice(list(given))
        assert table.decide({**given, name: "unheard_of"}) is DOUBT
        assert table.decide({other: word for other, word in given.items() if other != name}) is DOUBT
