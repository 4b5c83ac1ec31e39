"""Who the S3 server says that a caller is: an ARN where there is a token service, else the account.

Sources: AWS STS API, GetCallerIdentity; Amazon S3 API, ListBuckets (``Owner`` is the authenticated sender's account).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from nightlight_core.errors import StoreDenied, StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def caller_identity(s3: S3Client, sts: Any | None) -> str:
    """Return who a client's credentials belong to, by the server's word.

    ``sts`` is a client of the token service, None where there is none (Ceph, MinIO). What the server will say to nobody
    is told by the id of the key that signs, which is checked with every request. Raises StoreDenied or
    StoreUnavailable where there are no credentials at all.
    """
    if sts is not None:
        try:
            return str(sts.get_caller_identity()["Arn"])
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, BotoCoreError) and "Credential" in type(error).__name__:
                raise StoreDenied(f"no credentials: {type(error).__name__}") from error
    try:
        return f"s3:{s3.list_buckets()['Owner']['ID']}"
    except (ClientError, KeyError):
        return f"s3-key:{_key_id(s3)}"
    except BotoCoreError as error:
        if "Credential" in type(error).__name__:
            raise StoreDenied(f"no credentials: {type(error).__name__}") from error
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def _key_id(s3: S3Client) -> str:
    client: Any = s3
    signer = client._request_signer  # noqa: SLF001 - the only place where a client says with which key it signs
    return str(signer._credentials.access_key)  # noqa: SLF001
