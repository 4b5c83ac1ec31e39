"""An SQS queue of notifications. The client is built on first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from nightlight.store.aws_clients import make_aws_client
from nightlight_core.errors import QueueUnavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

    from nightlight.store.s3 import S3Access

_MOST = 10  # SQS gives no more at once


@dataclass(frozen=True, slots=True)
class SqsMessage:
    """A message, and the handle that it is deleted by."""

    body: str
    handle: str


class SqsQueue:
    """One queue. A message that is not deleted is given out again after the queue's visibility timeout."""

    def __init__(self, url: str, access: S3Access, *, wait_s: int = 10) -> None:
        """Read the queue at ``url``, waiting up to ``wait_s`` seconds for messages."""
        self._url, self._access, self._wait_s = url, access, wait_s

    @cached_property
    def _client(self) -> SQSClient:
        client: SQSClient = make_aws_client("sqs", self._access, wait_s=self._wait_s)
        return client

    def receive(self) -> list[SqsMessage]:
        """Return up to ten messages, none after a while without any; raises QueueUnavailable."""
        try:
            answer = self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=_MOST, WaitTimeSeconds=self._wait_s
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(f"SQS: {type(error).__name__}") from error
        return [SqsMessage(entry["Body"], entry["ReceiptHandle"]) for entry in answer.get("Messages", [])]

    def delete(self, messages: Sequence[SqsMessage]) -> None:
        """Delete messages that were taken care of; raises QueueUnavailable, and then they come again."""
        entries = [{"Id": str(number), "ReceiptHandle": entry.handle} for number, entry in enumerate(messages)]
        try:
            if entries:
                self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type]
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(f"SQS: {type(error).__name__}") from error
