"""${message}"""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.migrations import steps

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
# "expand": processes of the release before work on. "contract": with works_for, the oldest revision that still does.
phase = "expand"


def upgrade() -> None:
    """Make the change."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Take it back."""
    ${downgrades if downgrades else "pass"}
