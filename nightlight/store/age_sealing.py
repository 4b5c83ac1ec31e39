"""Sealing files to a person's own key, in the format of age (https://age-encryption.org/v1).

Whoever has the key opens them with any program that knows the format. Nobody else does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import IO

from nightlight_core.errors import InvalidInput

# A native recipient: an X25519 public key in Bech32.
RECIPIENT_PATTERN = r"^age1[02-9ac-hj-np-z]{58}$"
_RECIPIENT = re.compile(RECIPIENT_PATTERN)


def check_recipient(text: str) -> str:
    """Return an age recipient (``age1...``); raise InvalidInput for anything else."""
    from pyrage import RecipientError, x25519

    try:
        if _RECIPIENT.fullmatch(text):
            x25519.Recipient.from_str(text)
            return text
    except RecipientError:
        pass
    raise InvalidInput(
        "seal_to is no age recipient: `age-keygen` prints one, which begins with age1", pointer="/seal_to"
    )


def seal_file(plain: IO[bytes], sealed: IO[bytes], recipients: Sequence[str]) -> None:
    """Write ``plain`` to ``sealed``, for each of the recipients to open."""
    from pyrage import encrypt_io, x25519

    encrypt_io(plain, sealed, [x25519.Recipient.from_str(recipient) for recipient in recipients])
