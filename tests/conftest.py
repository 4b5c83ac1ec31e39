from pathlib import Path

import pytest

from nightlight.imaging.recipe import recipes
from nightlight.policy.compile import compile_folder

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def compiled():
    return compile_folder(ROOT / "policies")


@pytest.fixture(scope="session")
def table(compiled):
    return compiled.table


@pytest.fixture(scope="session")
def all_recipes(table):
    return recipes({name: tier.model_dump() for name, tier in table.tiers.items()})
