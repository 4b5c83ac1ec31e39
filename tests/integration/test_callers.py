"""The keys of callers from a real HTTPS server that takes keys out, fails, is slow, or answers something else."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from nightlight.delivery.access_tokens import AccessVerifier, TokenClocks, generate_key, issue_token
from nightlight_core.errors import Unauthenticated, Unavailable
from tests.support.jwks_server import JwksServer
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration


class Elapsed:
    """The clock that only goes forward, and faster when a test says so."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead


@pytest.fixture
def server(tmp_path, monkeypatch):
    started = JwksServer(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(started.certificate))
    threading.Thread(target=started.serve_forever, args=(0.02,), daemon=True).start()
    yield started
    started.released.set()
    started.shutdown()
    started.server_close()


@pytest.fixture
def elapsed():
    return Elapsed()


@pytest.fixture
def verifier(server, elapsed):
    return AccessVerifier(server.url, issuer="i", audience="a", leeway_s=30, clocks=TokenClocks(time.time, elapsed))


def token(private, subject="s", **changes):
    claims = {
        "scopes": ["decide"],
        "issuer": "i",
        "audience": "a",
        "now": datetime.now(UTC),
        "life": timedelta(hours=1),
    }
    return issue_token({**private, **changes}, subject=subject, **claims)


def refused(verifier, token):
    """The class of what a token is answered with."""
    with pytest.raises((Unauthenticated, Unavailable)) as error:
        verifier.verify(token)
    return type(error.value)


def test_a_key_that_left_the_set_opens_nothing_after_thirty_seconds(server, verifier, elapsed):
    (first, first_set), (second, second_set) = generate_key(), generate_key()
    server.give(first_set, second_set)
    old = token(first)
    assert verifier.verify(old).subject == "s"
    server.give(second_set)
    elapsed.ahead += 30
    assert verifier.try_cached(old) is None
    assert refused(verifier, old) is Unauthenticated
    assert refused(verifier, token(first, "new")) is Unauthenticated
    assert verifier.verify(token(second)).subject == "s"
    assert server.asked == 2


def test_who_is_known_has_the_next_set_read_before_the_last_one_ends_and_waits_for_nothing(server, verifier, elapsed):
    (first, first_set), (second, second_set) = generate_key(), generate_key()
    server.give(first_set)
    verifier.verify(token(first))
    server.give(first_set, second_set)
    server.requested.clear()
    server.released.clear()
    elapsed.ahead += 16
    verifier.verify(token(first, "again"))  # it is answered although the server is not
    assert server.requested.wait(HANG_S)
    server.released.set()
    elapsed.ahead += 15  # by now the first set counts no more
    assert verifier.verify(token(second)).subject == "s"
    assert server.asked == 2


@pytest.mark.parametrize("status", [200, 500, 404, 302])
def test_many_unknown_key_ids_from_many_threads_cause_one_reading(server, verifier, status):
    private, public = generate_key()
    server.give(public, status=status)
    with ThreadPoolExecutor(16) as threads:
        answers = set(
            threads.map(lambda number: refused(verifier, token(private, kid=f"unknown-{number}")), range(200))
        )
    assert answers == {Unauthenticated if status == 200 else Unavailable}
    assert server.asked == 1


def test_unknown_key_ids_cause_one_reading_while_the_server_is_slow(server, verifier):
    private, public = generate_key()
    server.give(public)
    server.released.clear()
    with ThreadPoolExecutor(16) as threads:
        refusals = [threads.submit(refused, verifier, token(private, kid=f"unknown-{number}")) for number in range(64)]
        assert server.requested.wait(HANG_S)
        server.released.set()
        assert {future.result() for future in refusals} == {Unauthenticated}
    assert server.asked == 1


def test_unknown_key_ids_cause_another_reading_after_thirty_seconds_and_no_sooner(server, verifier, elapsed):
    private, public = generate_key()
    server.give(public)
    for ahead, readings in ((0, 1), (16, 1), (13.5, 1), (0.6, 2), (29, 2), (1, 3)):
        elapsed.ahead += ahead
        for number in range(5):
            assert refused(verifier, token(private, kid=f"unknown-{number}")) is Unauthenticated
        assert server.asked == readings


def test_a_forged_token_of_a_known_key_id_causes_no_more_readings_than_an_unknown_one(server, verifier, elapsed):
    private, public = generate_key()
    server.give(public)
    verifier.verify(token(private))
    server.answer = 500, b""
    elapsed.ahead += 30
    for number in range(20):
        assert refused(verifier, token(generate_key()[0], f"forged-{number}", kid=private["kid"])) is Unavailable
        elapsed.ahead += 1
    assert server.asked == 2


def test_a_caller_whom_the_last_set_knew_is_let_in_again_soon_after_an_outage(server, verifier, elapsed):
    private, public = generate_key()
    server.give(public)
    verifier.verify(token(private))
    server.answer = 503, b""
    elapsed.ahead += 29
    assert verifier.verify(token(private, "so long the last set counts"))
    elapsed.ahead += 3
    assert refused(verifier, token(private, "and no longer")) is Unavailable
    server.give(public)
    elapsed.ahead += 2
    assert verifier.verify(token(private, "again"))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"keys": {}}', b"[" * 100_000, b"\xff\xfe", b" " * 2_000_000]
)
def test_what_is_no_set_of_keys_is_an_outage(server, verifier, body):
    server.answer = 200, body
    assert refused(verifier, token(generate_key()[0])) is Unavailable


def test_a_set_without_keys_lets_nobody_in(server, verifier, elapsed):
    private, public = generate_key()
    server.give(public)
    verifier.verify(token(private))
    server.give()
    elapsed.ahead += 30
    assert refused(verifier, token(private)) is Unauthenticated


def test_a_server_whose_certificate_nobody_knows_is_not_believed(server, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    private, public = generate_key()
    server.give(public)
    verifier = AccessVerifier(server.url, issuer="i", audience="a", leeway_s=30)
    assert refused(verifier, token(private)) is Unavailable
    assert server.asked == 0


def test_one_bad_key_does_not_keep_the_others_out(server, verifier):
    private, public = generate_key()
    server.answer = 200, json.dumps({"keys": [{"kty": "OKP"}, 7, *public["keys"]]}).encode()
    assert verifier.verify(token(private))
