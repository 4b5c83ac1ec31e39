"""Errors of the client reach other processes as they are."""

import copy
import pickle

import pytest

from nightlight_client import (
    ClientMisconfigured,
    InvalidId,
    NotNightlight,
    Problem,
    ProblemError,
    ServiceUnreachable,
    StillPending,
)
from nightlight_client.webhook_seen import WebhookRefused
from nightlight_core.errors import DecoderDied, TooManyRequests

ERRORS = [
    ClientMisconfigured("no"), ServiceUnreachable("tls", "no"), StillPending("no"), InvalidId("profile_id", "no"),
    Problem(422, "invalid_input", "no", [ProblemError("/a", "b")]), NotNightlight(200, "no"),
    WebhookRefused(401, "webhook_unsigned", "no"), TooManyRequests("no", after_s=7), DecoderDied("no", how="SIGSYS"),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("travel", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_is_the_same_on_the_other_side(error, travel):
    other = travel(error)
    assert type(other) is type(error)
    assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))
    assert (other.status, other.code, other.retryable) == (error.status, error.code, error.retryable)
