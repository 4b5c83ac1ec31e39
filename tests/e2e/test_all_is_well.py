"""`nightlight status` where all is well."""

from nightlight.jobs.lanes import LANES
from tests.e2e.test_status import looked
from tests.e2e.test_watched import addresses
from tests.support.waiting import eventually


def test_where_all_is_well_it_says_so_and_exits_with_0(quick_stack):
    environment = quick_stack.as_role("operator") if quick_stack.name == "scale" else quick_stack.environment
    asked = [f"--ask={address}" for address in addresses(quick_stack)]
    # The first sweep may be on its way.
    status = eventually(lambda: (answer := looked(environment, *asked))[0] == 0 and answer[1])
    assert status["problems"] == []
    assert [lane["lane"] for lane in status["lanes"]] == list(LANES)
    assert [process["ready"] for process in status["processes"]] == [True, True, True]
    assert status["certificate_days"] > 300
    assert status["erasures_overdue"] == status["takedowns_overdue"] == 0
    assert len(status["policy_digest"]) >= 12
