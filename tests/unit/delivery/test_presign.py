from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore import auth
from botocore.client import Config
from hypothesis import given
from hypothesis import strategies as st

from nightlight.delivery.presigned_urls import MOST_LIFE_S, Presigner

BEGIN = 1_800_000_000
PRESIGNER = Presigner("http://127.0.0.1:9000", "/nightlight-renditions", "eu-central-1", "AK/ID+", "s3cr3t")


@pytest.fixture(scope="module")
def theirs():
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    client = boto3.client(
        "s3", endpoint_url=PRESIGNER.endpoint, region_name=PRESIGNER.region, config=config,
        aws_access_key_id=PRESIGNER.access_key_id, aws_secret_access_key=PRESIGNER.secret_access_key,
    )  # fmt: skip

    def presigned(key, begin, life_s):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                auth, "get_current_datetime", lambda *_: datetime.fromtimestamp(begin, UTC).replace(tzinfo=None)
            )
            given_ = {"Bucket": "nightlight-renditions", "Key": key}
            return client.generate_presigned_url("get_object", Params=given_, ExpiresIn=life_s)

    return presigned


@pytest.mark.parametrize("key", ["a/" + "b2" * 16 + ".webp", "a/x.jpg", "a/with space+plus~tilde.webp", "ä/é.webp"])
@pytest.mark.parametrize(
    ("begin", "life_s"), [(BEGIN, 300), (BEGIN + 86_399, 3600), (951_782_400, 1), (BEGIN, MOST_LIFE_S)]
)
def test_it_signs_byte_for_byte_as_boto3_does(theirs, key, begin, life_s):
    assert PRESIGNER.signed(f"/{key}", begin=begin, life_s=life_s) == theirs(key, begin, life_s)


@given(st.integers(1_000_000_000, 2_000_000_000), st.integers(2, 2 * MOST_LIFE_S), st.integers(0, 1000))
def test_it_is_valid_for_at_least_half_and_at_most_the_whole_life_and_the_same_for_all(now, life_s, name):
    url, expiry = PRESIGNER.url(f"/a/{name}", now=now, life_s=life_s)
    query = parse_qs(urlsplit(url).query)
    begin = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    lives = int(query["X-Amz-Expires"][0])
    assert begin + lives == expiry
    assert begin <= now
    assert lives <= MOST_LIFE_S
    if life_s <= MOST_LIFE_S:
        assert life_s // 2 - 1 <= expiry - now <= life_s
    again, _ = PRESIGNER.url(f"/a/{name}", now=int(begin), life_s=life_s)
    assert again == url


def test_the_secret_does_not_print():
    assert "s3cr3t" not in repr(PRESIGNER)


def test_no_url_outlives_the_longest_life_that_is_set():
    short = Presigner("http://127.0.0.1:9000", "", "eu-central-1", "id", "secret", 60)
    _, expiry = short.url("/a/x", now=BEGIN, life_s=3600)
    assert 0 < expiry - BEGIN <= 60
