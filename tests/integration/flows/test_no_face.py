"""What renditions were allowed of a picture without a face is kept beside them, over both databases, and counts."""

from dataclasses import replace

import pytest
from sqlalchemy import delete

from nightlight.catalogue.policy_schema import recipes as known_recipes
from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.imaging.recipe import build_recipes
from nightlight_core.decisions.profile_views import ProfileViewCache
from nightlight_core.decisions.rendition_choice import choose_rendition
from nightlight_core.policy.table import Table

pytestmark = pytest.mark.integration


@pytest.fixture
def view_of(services):
    feed = ChangeFeedPoller(
        services.catalogue, ProfileViewCache(most=9, stale_s=1), picture_bytes=1, assertion_days=30, poll_s=1
    )
    return lambda profile_id: feed.read([profile_id])[0]


def with_tiny(table, **fields):
    """The table with another recipe of tiny."""
    tiers = {**table.tiers, "tiny": replace(table.tiers["tiny"], **fields)}
    return Table(table.attributes, table.cells, table.outcomes, tiers, besides=table.besides)


def uploaded(services, profile_id, *tables):
    """A picture that was rendered by the recipes of these tables."""
    services.recipes = tuple(
        dict.fromkeys(recipe for table in tables for recipe in build_recipes(table.tiers, order=("none", *table.tiers)))
    )
    image_id = services.upload(profile_id).image_id
    assert services.deliver() == ["ready"]
    return image_id


def shown(view, before, now):
    """The recipe of what is shown of it in the tier tiny."""
    choice = choose_rendition(view, now, "tiny", lambda: (before, "tiny"))
    return choice[0].recipe if choice else None


def test_it_is_kept_beside_the_rendition_and_what_closes_hides_it(services, profile_id, view_of):
    image_id = uploaded(services, profile_id, services.table)
    with services.catalogue.reading() as tx:
        assert {row.tier: row.no_face_px for row in tx.images.renditions(image_id)} == {
            "tiny": 16, "low": None, "medium": None, "full": None,
        }  # fmt: skip
    view, own = view_of(profile_id), services.table.pixels["tiny"]
    assert shown(view, services.table, services.table) == own
    for fields, expected in (({"no_face_px": None}, None), ({"no_face_px": 12}, None), ({"no_face_px": 24}, own)):
        assert shown(view, services.table, with_tiny(services.table, **fields)) == expected


def test_two_renditions_of_a_tier_that_differ_in_a_budget_alone_are_both_read(services, profile_id, view_of):
    """As while a candidate is rendered first: the one that is shown is that of the policy in force."""
    tables = [services.table, with_tiny(services.table, no_face_px=None), with_tiny(services.table, no_face_px=12)]
    tables.append(with_tiny(services.table, face_px=None, no_face_px=None, reidentification_at_most=None))
    uploaded(services, profile_id, *tables)
    view = view_of(profile_id)
    assert len(view.available["tiny"]) == 4
    for table in tables:
        assert shown(view, table, table) == table.pixels["tiny"]


def test_where_nobody_knows_the_recipe_what_stands_beside_the_rendition_counts(services, profile_id, view_of):
    bare = {"visible_watermark": "none", "invisible_watermark": "none", "provenance": "none"}
    table = with_tiny(services.table, **bare)
    uploaded(services, profile_id, table)
    with services.catalogue.transaction() as tx:
        tx.connection.execute(delete(known_recipes))
    view = view_of(profile_id)
    for no_face_px, is_shown in ((16, True), (24, True), (12, False), (None, False)):
        now = with_tiny(services.table, **bare, no_face_px=no_face_px)
        assert (shown(view, now, now) is not None) is is_shown
