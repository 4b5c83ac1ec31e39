"""What is ours for the errors of an S3 client."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from nightlight_core.errors import (
    BucketMissing,
    ClockSkewed,
    NightlightError,
    ObjectMissing,
    StoreCredentialsRefused,
    StoreDenied,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
# Said of who asks, whatever is asked for; AWS, Ceph and MinIO.
_CREDENTIALS = frozenset({"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"})
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
DENIED = frozenset({"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden"})


def code_of(error: ClientError) -> str:
    """Return the code of what a server answered, empty where it gave none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def store_error(error: Exception, what: str) -> NightlightError:
    """Return ObjectMissing or StoreDenied where a server says so of ``what``, and StoreUnavailable for all else."""
    if not isinstance(error, ClientError):
        return StoreUnavailable(f"{type(error).__name__}: {error}")
    code = code_of(error)
    message = f"{error.operation_name} {what}: {code}"
    if code in MISSING:
        return ObjectMissing(message)
    return StoreDenied(message) if code in DENIED else StoreUnavailable(message)


def not_ready(error: ClientError, bucket: str) -> NightlightError | None:
    """Return what is wrong with a bucket or with who asks; None where the server just has no such object to give."""
    code = code_of(error)
    message = f"bucket {bucket}: {code}"
    if code in _CREDENTIALS:
        return StoreCredentialsRefused(message)
    if code in _CLOCK:
        return ClockSkewed(message)
    if code == "NoSuchBucket":
        return BucketMissing(message)
    return None if code in MISSING | DENIED else StoreUnavailable(message)


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Raise what is ours for every error of the client's in the block, which is about ``what``."""
    try:
        yield
    except (ClientError, BotoCoreError, OSError) as error:
        raise store_error(error, what) from error
