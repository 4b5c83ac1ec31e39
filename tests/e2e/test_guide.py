"""The chapters of docs/policy/guide.md that need a running service, played on the one that the guide starts."""

import pytest

from tests.support.guide import PATH, Command, Edit, Session, read_steps, split_at_service

pytestmark = pytest.mark.e2e
BEFORE, STEPS = split_at_service(read_steps(PATH.read_text("utf-8")))


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """The folder as the chapters before leave it, without their looking; then everything from the service on."""
    session = Session(tmp_path_factory.mktemp("guide"))
    session.play([step for step in BEFORE if isinstance(step, Edit) or step.prepares])
    session.play(STEPS)
    return session


@pytest.mark.parametrize(
    "command",
    [step for step in STEPS if isinstance(step, Command)],
    ids=lambda command: f"{command.line}-{command.text[:60]}",
)
def test_a_command_prints_what_the_guide_shows(session, command):
    printed = session.printed[command]
    assert not command.differs(printed), f"{PATH.name}:{command.line}: $ {command.text}\n{printed}"
