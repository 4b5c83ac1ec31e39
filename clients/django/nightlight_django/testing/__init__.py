"""A Nightlight in memory for the tests of a site: with the real decision engine and the default policies.

::

    def test_a_stranger_sees_next_to_nothing(client, django_nightlight):  # a pytest fixture
        ...
        assert django_nightlight.shown(url).tier == "tiny"

    with use_fake() as fake:  # for unittest
        ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightlight_client.testing import FakeNightlight


@contextmanager
def use_fake(fake: FakeNightlight | None = None) -> Iterator[FakeNightlight]:
    """Let everything of this package speak to a fake meanwhile, in the whole process; one is made if none is given."""
    from nightlight_client import HttpOptions
    from nightlight_client.testing import FakeNightlight
    from nightlight_django.conf import use_client

    used = fake or FakeNightlight()
    options = HttpOptions(most_attempts=1)  # an outage of the fake is no reason to wait
    with used.client(options=options) as client, use_client(client):
        yield used
