"""The form in which webhooks' secrets and keys are kept: texts in one file, the first of which is the current one.

Every key of the file signs, so a receiver may move to a key from the moment it is added. Promoting says that the others
are to go, and retiring removes them.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nightlight.flows.key_rotation.key_files import Write
from nightlight.flows.webhooks.signing import (
    KEY_PREFIX,
    MAX_KEYS,
    SECRET_PREFIX,
    parse_private_keys,
    parse_secrets,
    private_key_ids,
    secret_ids,
)
from nightlight_core.errors import InvalidInput
from nightlight_core.files import read_text

_NEW_BYTES = 32


@dataclass(frozen=True, slots=True)
class WebhookKeyStorage:
    """``whsec_...,whsec_...``, or the same of ``whsk_...`` where they are ``private_keys``."""

    path: Path
    private_keys: bool

    @property
    def folder(self) -> Path:
        """Return the file's folder."""
        return self.path.parent

    def keys(self) -> list[str]:
        """Return the keys in their order."""
        return list(self._texts())

    def add(self) -> tuple[str, list[Write]]:
        """Return a new key at the end."""
        texts = self._texts()
        if len(texts) >= MAX_KEYS:
            raise InvalidInput(f"{self.path} has {MAX_KEYS} keys, and no more: retire some first")
        prefix = KEY_PREFIX if self.private_keys else SECRET_PREFIX
        text = prefix + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()
        (name,) = self._names(text)
        return name, [self._written([*texts.values(), text])]

    def verified_as(self, key: str) -> str:
        """Return the key."""
        return key

    def promote(self, key: str) -> list[Write]:
        """Return the keys with this one in front."""
        texts = self._texts()
        return [self._written([texts.pop(key), *texts.values()])]

    def remove(self, keys: Sequence[str]) -> list[Write]:
        """Return the others."""
        return [self._written([text for name, text in self._texts().items() if name not in keys])]

    def _texts(self) -> dict[str, str]:
        """Return each key's text by its name."""
        whole = read_text(self.path)
        texts = whole.replace(",", " ").split()
        return dict(zip(self._names(whole), texts, strict=True))

    def _names(self, text: str) -> list[str]:
        if self.private_keys:
            return private_key_ids(parse_private_keys(text, str(self.path)))
        return secret_ids(parse_secrets(text, str(self.path)))

    def _written(self, texts: Sequence[str]) -> Write:
        return Write(self.path, ",".join(texts))
