"""A bucket of the platform's own: the S3 server pushes what happens there, and profiles have their pictures."""

import base64
import json

import boto3
import httpx
import pytest
from botocore.client import Config

from nightlight.cli import key_commands
from nightlight_core.decisions.placeholder import placeholder_bytes
from tests.integration.imports.conftest import bucket_of_pictures
from tests.support import pictures
from tests.support.services import S3, S3_OWNER, identity, needed
from tests.support.stacks import Scale
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def avatars():
    with bucket_of_pictures() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def stack(avatars, tmp_path_factory):
    key, secret = identity(S3_OWNER)
    settings = {
        "NIGHTLIGHT_SOURCE_BUCKETS": json.dumps({avatars[0]: "users/{profile}/*.jpg"}),
        "NIGHTLIGHT_SOURCE_ENDPOINT_URL": needed(S3),
        "NIGHTLIGHT_SOURCE_ACCESS_KEY_ID": key,
        "NIGHTLIGHT_SOURCE_SECRET_ACCESS_KEY": secret,
    }
    with Scale(tmp_path_factory.mktemp("imports"), **settings) as started:
        yield started


@pytest.fixture(scope="module")
def notified(stack, avatars):
    """The real server is told to push to us; the token is in the address, as the password."""
    name, s3 = avatars
    token = key_commands.token(stack.folder, scopes=["import"], subject="s3", hours=12)
    key, secret = identity(S3_OWNER)
    session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="default")
    sns = session.client("sns", endpoint_url=needed(S3), config=Config(signature_version="s3"))
    # A topic whose address has a password in it is taken over HTTPS only.
    sns.meta.events.register(
        "before-sign", lambda request, **_: request.headers.add_header("X-Forwarded-Proto", "https")
    )
    address = stack.url.replace("http://", f"http://s3:{token}@") + "/v1/import-notifications"
    topic = sns.create_topic(Name=f"pictures-{name}", Attributes={"push-endpoint": address})["TopicArn"]
    s3.put_bucket_notification_configuration(
        Bucket=name,
        NotificationConfiguration={
            "TopicConfigurations": [
                {"Id": "n", "TopicArn": topic, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
            ]
        },
    )
    yield name, s3
    sns.delete_topic(TopicArn=topic)
    sns.close()


def picture_of(stack, profile_id):
    with stack.catalogue.reading() as tx:
        profile = tx.profiles.get(profile_id)
        return profile.current_image_id if profile else None


def shown(stack):
    """The picture that a stranger gets; None for a URL whose picture went away after the decision, which is a 404."""
    with stack.client("decide") as client:
        (decision,) = client.decide("peer", "profile", [("u-1", "stranger")])
    answer = httpx.get(decision.url)
    assert answer.status_code in {200, 404}
    return answer.content if answer.status_code == 200 else None


def test_what_is_put_into_the_bucket_is_shown_and_what_is_deleted_there_is_gone(stack, notified):
    name, s3 = notified
    with stack.client("ingest") as client:
        client.declare("u-1", band="adult", assurance="verified", region="eu", choice="connections")
    s3.put_object(Bucket=name, Key="users/u-1/face.jpg", Body=pictures.jpeg(300, 300))
    image_id = eventually(lambda: picture_of(stack, "u-1"))
    eventually(lambda: shown(stack) not in {None, placeholder_bytes()})
    s3.delete_object(Bucket=name, Key="users/u-1/face.jpg")
    eventually(lambda: picture_of(stack, "u-1") is None)
    eventually(lambda: shown(stack) == placeholder_bytes())
    with stack.catalogue.reading() as tx:
        assert tx.images.get(image_id).state == "deleted"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"s3:").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Bearer x",
    ],
)
def test_nobody_else_may_tell(stack, header):
    answer = httpx.post(
        f"{stack.url}/v1/import-notifications",
        json={"Records": []},
        headers={"Authorization": header} if header else {},
    )
    assert answer.status_code == 401


def test_basic_credentials_are_for_this_route_alone(stack):
    token = key_commands.token(stack.folder, scopes=None, subject="s3", hours=1)
    basic = {"Authorization": "Basic " + base64.b64encode(f"s3:{token}".encode()).decode()}
    assert httpx.post(f"{stack.url}/v1/import-notifications", json={"Records": []}, headers=basic).status_code == 202
    assert (
        httpx.put(
            f"{stack.url}/v1/profiles/x", json={"band": "adult", "assurance": "verified"}, headers=basic
        ).status_code
        == 401
    )
    other = key_commands.token(stack.folder, scopes=["ingest"], subject="s3", hours=1)
    basic = {"Authorization": "Basic " + base64.b64encode(f"s3:{other}".encode()).decode()}
    assert httpx.post(f"{stack.url}/v1/import-notifications", json={"Records": []}, headers=basic).status_code == 403


@pytest.mark.parametrize("body", ["", "x", "[]", "{}", '{"Records": 7}', "\x00"])
def test_what_is_no_event_is_refused(stack, body):
    token = key_commands.token(stack.folder, scopes=["import"], subject="s3", hours=1)
    answer = httpx.post(
        f"{stack.url}/v1/import-notifications", content=body, headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_input"
