"""A machine on which a worker's child takes longer to load than a task may take."""

import pytest

from tests.support import pictures
from tests.support.stacks import Scale

pytestmark = [pytest.mark.failure, pytest.mark.integration]

TIME_LIMIT_S, LOADING_S = 30, 35


class SlowScale(Scale):
    def _command(self, name, module):
        return ("tests.support.slow_worker", "work") if name == "worker" else module

    def _changed(self, name, environment):
        return {"SLOW_LOADING_S": str(LOADING_S)}


def test_a_child_that_loads_for_longer_than_a_task_may_take_is_killed_once_and_not_for_ever(tmp_path):
    """Its successor loaded within its first task too, was killed over it too, and so on: nothing was ever rendered."""
    with SlowScale(tmp_path, NIGHTLIGHT_WORKER_TIME_LIMIT_S=str(TIME_LIMIT_S)) as stack, stack.client() as client:
        client.declare("patient", band="adult", assurance="verified", region="eu")
        image = client.upload("patient", pictures.jpeg())
        assert client.wait(image.image_id).state == "ready"
        assert "Hard time limit" in stack.logs("worker")
