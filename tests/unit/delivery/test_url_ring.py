"""Rotating the ring of URL keys, while some processes still have the ring of the step before."""

import base64
from itertools import pairwise

import pytest

from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.keyring import KeyRing

NOW, PATH = 1_800_000_000, "/ab/" + "c" * 32 + ".webp"
OLD, NEW = (f"{name}:{base64.b64encode(name.encode() * 16).decode()}" for name in ("d1", "d2"))
STEPS = {"before": OLD, "added": f"{OLD},{NEW}", "promoted": f"{NEW},{OLD}"}


def signer(ring):
    return HmacUrlSigner(KeyRing.parse(ring, "test"), "https://edge.example")


def accepted(ring, by):
    url, _ = signer(by).url(PATH, now=NOW, life_s=600)
    expiry, key_id, signature = (part.partition("=")[2] for part in url.partition("?")[2].split("&"))
    return signer(ring).verify(PATH, expiry, key_id, signature, now=NOW) is not None


@pytest.mark.parametrize(("step", "following"), list(pairwise(STEPS)))
def test_processes_of_neighbouring_steps_accept_each_others_urls(step, following):
    assert accepted(STEPS[step], STEPS[following])
    assert accepted(STEPS[following], STEPS[step])


def test_a_new_key_in_front_at_once_is_refused_by_those_that_lack_it():
    assert not accepted(STEPS["before"], STEPS["promoted"])


def test_a_retired_key_opens_nothing_and_whoever_signs_last_is_accepted():
    assert accepted(NEW, STEPS["promoted"])
    assert not accepted(NEW, OLD)
