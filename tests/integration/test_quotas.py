"""Quotas in this process and in the real Redis: the same answers."""

import threading

import pytest
import redis

from nightlight.delivery.quotas_redis import RedisQuotas
from nightlight_core.decisions.quotas import HOUR_US, InProcess, Limits, PictureRequest, Requester
from nightlight_core.errors import QuotasUnavailable
from tests.support.services import REDIS, needed, token
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

NOW = 1_800_000_000_000_000 // HOUR_US * HOUR_US
LIMITS = Limits(network_per_hour=40, tenant_per_hour=400)


@pytest.fixture(params=["process", "redis"])
def quotas(request):
    if request.param == "process":
        yield InProcess(LIMITS)
        return
    url, namespace = needed(REDIS), f"t-{token()}"
    redis_quotas = RedisQuotas(url, LIMITS, timeout_s=HANG_S, namespace=namespace)
    yield redis_quotas
    redis_quotas.close()
    with redis.Redis.from_url(url) as connection:
        for key in connection.scan_iter(f"{namespace}:*"):
            connection.delete(key)


def given(quotas, profiles, *, per_hour=8, viewer_id="v", network=None, tenant="t", now_us=NOW):
    wanted = [PictureRequest(str(profile), per_hour) for profile in profiles]
    profile_ids = [request.profile_id for request in wanted]
    return quotas.allow(Requester(viewer_id, network, tenant), wanted, profile_ids, now_us=now_us).allowed


def test_three_quarters_at_once_then_a_quarter_in_an_hour(quotas):
    assert given(quotas, range(10)) == [True] * 6 + [False] * 4
    assert given(quotas, range(100, 103), now_us=NOW + HOUR_US // 2 + 1) == [True, False, False]
    assert given(quotas, range(200, 203), now_us=NOW + HOUR_US + 1) == [True, False, False]


def test_no_hour_sees_more_than_the_policy_says(quotas):
    moments = [NOW + minute * 60_000_000 for minute in range(0, 240, 5)]
    times = [
        moment for number, moment in enumerate(moments)
        for is_allowed in given(quotas, range(number * 50, number * 50 + 50), per_hour=12, now_us=moment) if is_allowed
    ]  # fmt: skip
    assert len(times) > 12
    for moment in moments:
        assert sum(moment <= time < moment + HOUR_US for time in times) <= 12


def test_what_was_given_in_this_hour_costs_nothing_again(quotas):
    assert given(quotas, range(6)) == [True] * 6
    for _ in range(5):
        assert given(quotas, range(6)) == [True] * 6
    assert given(quotas, [*range(6), 99]) == [True] * 6 + [False]


def test_viewers_and_allowances_have_buckets_of_their_own(quotas):
    assert given(quotas, range(9)) == [True] * 6 + [False] * 3
    assert given(quotas, range(9), viewer_id="w") == [True] * 6 + [False] * 3
    assert given(quotas, range(9), per_hour=4) == [True] * 3 + [False] * 6
    mixed = [PictureRequest("a", 4), PictureRequest("b", 8), PictureRequest("c", 4), PictureRequest("d", 100)]
    usage = quotas.allow(Requester("x", None, "t"), mixed, ["a", "b", "c", "d"], now_us=NOW)
    assert usage.allowed == [True] * 4


def test_a_network_shares_one_and_so_does_a_platform(quotas):
    total = sum(sum(given(quotas, range(6), viewer_id=f"n{number}", network="net")) for number in range(20))
    assert total == 30
    assert sum(given(quotas, range(6), viewer_id="n-other", network="another")) == 6
    rest = sum(sum(given(quotas, range(6), viewer_id=f"t{number}")) for number in range(80))
    assert total + 6 + rest == 300
    assert sum(given(quotas, range(6), viewer_id="t-other", tenant="another")) == 6


def test_nothing_an_hour_is_nothing(quotas):
    assert (
        given(quotas, range(3), per_hour=0) == [True, False, False]
        or given(quotas, range(3), per_hour=0) == [False] * 3
    )


def test_who_is_nobody_takes_from_the_shared_ones_alone(quotas):
    assert given(quotas, range(50), viewer_id=None) == [True] * 50
    assert given(quotas, range(50), viewer_id=None, network="net") == [True] * 30 + [False] * 20


def test_different_profiles_are_counted_by_the_hour(quotas):
    def asked(profiles, now_us=NOW):
        return quotas.allow(
            Requester("v", None, "t"), [], [str(profile) for profile in profiles], now_us=now_us
        ).profiles

    assert asked([]) == 0
    assert asked([1, 1, 2]) == 2
    assert 990 <= asked(range(1000)) <= 1010
    assert asked(range(5), NOW + HOUR_US) == 5


def test_many_at_the_same_moment_take_no_more_than_there_is(quotas):
    taken = []

    def take(number):
        taken.append(sum(given(quotas, range(number * 10, number * 10 + 10), per_hour=80)))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 60


def test_a_redis_that_is_not_there_says_so():
    away = RedisQuotas("redis://127.0.0.1:1/0", LIMITS, timeout_s=0.2)
    with pytest.raises(QuotasUnavailable):
        given(away, range(3))


def test_no_id_is_kept_as_it_is():
    url, namespace = needed(REDIS), f"t-{token()}"
    redis_quotas = RedisQuotas(url, LIMITS, timeout_s=HANG_S, namespace=namespace)
    given(
        redis_quotas, ["p"], viewer_id="very-secret-viewer", network="very-secret-network", tenant="very-secret-tenant"
    )
    with redis.Redis.from_url(url) as connection:
        keys = list(connection.scan_iter(f"{namespace}:*"))
        assert keys
        assert not any(b"secret" in key for key in keys)
        connection.delete(*keys)
    redis_quotas.close()
