from pathlib import Path

import pytest
from hypothesis import settings

from nightlight.imaging.recipe import recipes
from nightlight.policy.compile import compile_folder

ROOT = Path(__file__).parents[1]

# A slow machine is no failure: no timing decides a test.
settings.register_profile("nightlight", deadline=None)
settings.load_profile("nightlight")


@pytest.fixture(scope="session")
def compiled():
    return compile_folder(ROOT / "policies")


@pytest.fixture(scope="session")
def table(compiled):
    return compiled.table


@pytest.fixture(scope="session")
def all_recipes(table):
    return recipes({name: tier.model_dump() for name, tier in table.tiers.items()})
