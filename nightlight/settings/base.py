"""What every concern's settings have in common."""

from __future__ import annotations

import os
from typing import Any

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from nightlight_core.errors import SettingsRefused


def config(prefix: str) -> SettingsConfigDict:
    """Return how a concern is read: frozen, from variables that begin with ``prefix``; bad values are not printed.

    What stands under a field in quotes is its description.
    """
    return SettingsConfigDict(
        env_prefix=prefix, extra="ignore", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


def secrets_dir() -> dict[str, Any]:
    """Return what tells pydantic-settings where a platform mounts secrets, if it does."""
    folder = os.environ.get("NIGHTLIGHT_SECRETS_DIR")
    return {"_secrets_dir": folder} if folder else {}


def require(value: SecretStr | str | None, variable: str) -> str:
    """Return the plain value of a setting that this process cannot do without, or raise SettingsRefused."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not text:
        raise SettingsRefused(f"{variable} is not set; `nightlight keys init` makes a set for development")
    return text
