"""A kind of job is said once: its lane, its column and its task follow from the registry."""

import pytest

from nightlight.catalogue.schema import jobs, outbox
from nightlight.jobs.kinds import KINDS
from nightlight.jobs.lanes import BACKGROUND, ERASURE, LANES, TRACE, UPLOAD, URGENT
from workers.tasks import TASKS


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_each_kind_has_a_lane_a_column_and_a_task_that_the_tables_can_hold(kind):
    assert kind.lane in LANES
    assert kind.subject.column in jobs.c
    assert len(kind.name) <= jobs.c.kind.type.length
    assert len(kind.task) <= outbox.c.task.type.length
    assert TASKS[kind.task].name == kind.task


def test_there_is_a_task_for_each_kind_and_no_other():
    assert set(TASKS) == {f"nightlight.{name}" for name in KINDS}


def test_what_takes_something_away_is_urgent_and_what_nobody_waits_for_is_not():
    assert LANES == (ERASURE, URGENT, TRACE, UPLOAD, BACKGROUND)
    assert {name: kind.lane for name, kind in KINDS.items()} == {
        "erase": ERASURE, "verify_erasure": ERASURE, "rotate_names": URGENT, "copy_to_vault": URGENT, "delete_copy": URGENT,
        "sweep": URGENT, "remove_rows": ERASURE, "rescreen": URGENT, "takedown": URGENT, "delete_export": URGENT, "delete_review": URGENT, "review_picture": TRACE, "trace_search": TRACE, "export": TRACE, "render": UPLOAD, "import": UPLOAD,
        "retention_tags": BACKGROUND, "rerender": BACKGROUND,
    }  # fmt: skip
