"""A queue of notifications: SQS, as moto's server speaks it on this machine."""

import json
import os
import signal
import subprocess
import sys

import boto3
import pytest

from nightlight.flows.imports.notifications import ImportNotifications
from nightlight.flows.imports.sqs_consumer import SqsConsumer
from nightlight.store.key_template import KeyTemplate
from nightlight.store.s3 import S3Access
from nightlight.store.sqs import SqsQueue
from nightlight_core.errors import CatalogueUnavailable, QueueUnavailable
from tests.conftest import ROOT
from tests.support.databases import catalogue_at
from tests.support.flow_container import Clock
from tests.support.services import token
from tests.support.waiting import HANG_S, eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def queue(sqs_url):
    """(address, a client) of a queue of the test's own whose messages come again after a second."""
    session = boto3.session.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    client = session.client("sqs", endpoint_url=sqs_url)
    yield client.create_queue(QueueName=f"q-{token()}", Attributes={"VisibilityTimeout": "1"})["QueueUrl"], client
    client.close()


def access(url):
    return S3Access(url, "us-east-1", "x", "x", 1, 2)


def notification(key, number=1):
    record = {
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "avatars"}, "object": {"key": key, "sequencer": str(number)}},
    }
    return json.dumps({"Records": [record]})


def waiting(client, url):
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


def notifications_of(catalogue):
    from sqlalchemy import select

    from nightlight.catalogue.retention_schema import import_items as table

    with catalogue.reading() as tx:
        return sorted(row.profile_id for row in tx.connection.execute(select(table.c.profile_id)))


def test_messages_are_deleted_once_they_are_in_the_catalogue_and_not_before(fresh, queue, sqs_url):
    url, client = queue
    for number in range(12):
        client.send_message(QueueUrl=url, MessageBody=notification(f"u-{number}.jpg"))
    client.send_message(QueueUrl=url, MessageBody=notification("u-3.jpg"))  # SQS gives a message twice now and then
    client.send_message(QueueUrl=url, MessageBody="what is this?")
    notifications = ImportNotifications(fresh, {"avatars": KeyTemplate("{profile}.jpg")}, Clock())
    consumer = SqsConsumer(SqsQueue(url, access(sqs_url), wait_s=0), notifications)

    class Away:
        def record(self, _):
            raise CatalogueUnavailable("away")

    with pytest.raises(CatalogueUnavailable):
        SqsConsumer(consumer.queue, Away()).run_once()
    assert waiting(client, url) == 14
    eventually(lambda: (consumer.run_once(), waiting(client, url) == 1)[1])  # the one that nobody understands
    assert notifications_of(fresh) == sorted(f"u-{number}" for number in range(12))


def test_a_queue_that_is_away_is_an_outage():
    with pytest.raises(QueueUnavailable):
        SqsQueue("http://127.0.0.1:9/q", access("http://127.0.0.1:9"), wait_s=0).receive()


def test_the_process_listens_until_it_is_told_to_stop(tmp_path, queue, sqs_url):
    url, client = queue
    database = f"sqlite:///{tmp_path / 'c.sqlite3'}"
    environment = {
        **os.environ,
        "NIGHTLIGHT_CATALOGUE_URL": database,
        "NIGHTLIGHT_DATA_DIR": str(tmp_path),
        "NIGHTLIGHT_STORE_ACCESS_KEY_ID": "x",
        "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": "x",
        "NIGHTLIGHT_SOURCE_BUCKETS": '{"avatars": "{profile}.jpg"}',
        "NIGHTLIGHT_SOURCE_QUEUE_URL": url,
        "NIGHTLIGHT_SOURCE_QUEUE_ENDPOINT_URL": sqs_url,
    }
    with catalogue_at(database) as catalogue:
        client.send_message(QueueUrl=url, MessageBody=notification("u-1.jpg"))
        with subprocess.Popen(
            [sys.executable, "-m", "workers", "imports"], env=environment, cwd=ROOT, stderr=subprocess.PIPE
        ) as child:
            eventually(lambda: notifications_of(catalogue) == ["u-1"])
            client.send_message(QueueUrl=url, MessageBody=notification("u-2.jpg"))
            eventually(lambda: notifications_of(catalogue) == ["u-1", "u-2"])
            child.send_signal(signal.SIGTERM)
            assert child.wait(HANG_S) == 0
    del environment["NIGHTLIGHT_SOURCE_QUEUE_URL"]
    ended = subprocess.run(
        [sys.executable, "-m", "workers", "imports"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "NIGHTLIGHT_SOURCE_QUEUE_URL" in ended.stderr
