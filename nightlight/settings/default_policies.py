"""Where the default policy pack is: it comes with Nightlight, and NIGHTLIGHT_POLICY_DIR names another."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from nightlight_core.errors import SettingsRefused

# A file that every pack has.
_MARKER = "vocabulary.yaml"


def default_policies() -> Path:
    """Return the folder of the default pack: inside the installed package, or beside it in a checkout.

    Raises SettingsRefused if it is in neither.
    """
    package = Path(str(resources.files("nightlight")))
    # pyproject.toml puts the checkout's `policies` into the wheel under this name.
    for folder in (package / "default_policies", package.parent / "policies"):
        if (folder / _MARKER).is_file():
            return folder
    raise SettingsRefused("the default policy pack is not installed: name a pack with NIGHTLIGHT_POLICY_DIR")
