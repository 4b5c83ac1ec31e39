"""The table of mistakes in the policy bench: what the policy engine itself does with each."""

import pytest

from bench.engines import MISTAKES, nightlight_shaped
from nightlight.policy.diagnostics import InvalidPolicy

AT_START = {"attribute misspelt in the rule", "value misspelt in the rule"}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_hides_the_picture_or_is_refused_at_start(mistake):
    if mistake in AT_START:
        with pytest.raises(InvalidPolicy, match="is not a"):
            nightlight_shaped(*MISTAKES[mistake])
    else:
        assert nightlight_shaped(*MISTAKES[mistake]) is False
