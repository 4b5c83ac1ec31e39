from datetime import timedelta

import pytest

from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.tables import jobs as jobs_table
from nightlight.imaging.crop import Region
from nightlight.store.local import LocalStore
from tests.support.house import START, Clock, House, Switch


@pytest.fixture
def house(catalogue, tmp_path, table, all_recipes, render):
    made = House(
        catalogue,
        Switch(LocalStore(tmp_path / "originals")),
        Switch(LocalStore(tmp_path / "renditions")),
        Clock(),
        [],
        table,
        all_recipes,
        lambda data, recipes, crop, numbers: render(
            data, recipes, region=Region.parse(crop, max_side=9999) if crop else None, numbers=numbers
        ),
    )
    made.originals.ready()
    made.renditions.ready()
    with catalogue.transaction() as tx:  # what an earlier test of this module left
        for message in tx.outbox.claim(START + timedelta(days=900), limit=1000, claim_s=1):
            tx.outbox.mark_published([message.message_id])
        tx.connection.execute(jobs_table.update().values(state="done"))
    return made


@pytest.fixture
def profile_id(house, request):
    name = f"f-{abs(hash(request.node.nodeid)) % 10**12}"
    house.declare.declare(name, Declaration("age_13_15", "verified", "eu", "connections"), follow_band=False, actor="t")
    return name
