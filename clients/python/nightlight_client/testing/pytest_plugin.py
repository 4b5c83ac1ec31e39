"""The fixture ``fake_nightlight``: a Nightlight in memory, new for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nightlight_client.testing.fake_service import FakeNightlight


@pytest.fixture
def fake_nightlight() -> FakeNightlight:
    """Return a Nightlight in memory: see ``nightlight_client.testing``."""
    from nightlight_client.testing.fake_service import FakeNightlight

    return FakeNightlight()
