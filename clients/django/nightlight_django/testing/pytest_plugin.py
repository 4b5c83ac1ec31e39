"""The fixture ``django_nightlight``: a Nightlight in memory, new for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nightlight_client.testing import FakeNightlight


@pytest.fixture
def django_nightlight() -> Iterator[FakeNightlight]:
    """Return a Nightlight in memory that the site speaks to: see ``nightlight_django.testing``."""
    from nightlight_django.testing import use_fake

    with use_fake() as fake:
        yield fake
