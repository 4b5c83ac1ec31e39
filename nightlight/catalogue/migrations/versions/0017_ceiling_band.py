"""The band that each picture is held to, and up to which its owner opened it.

Releases from before said nothing of the band that they were given in, so none is kept: an owner says it again. What an
upload's band was is its ceiling, or the profile's present one where that protects more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# The vocabulary that the product comes with, the most protective first. Words of others are left as they are.
_ORDER = ("unknown", "under_13", "age_13_15", "age_16_17", "adult")


def upgrade() -> None:
    """Add the columns, and fill them by what protects more."""
    op.add_column("profiles", sa.Column("asserted_band", sa.String(32), nullable=False, server_default=""))
    op.execute("UPDATE profiles SET asserted_band = band")
    op.add_column("images", sa.Column("ceiling_band", sa.String(32), nullable=False, server_default=""))
    op.add_column("images", sa.Column("released_band", sa.String(32)))
    op.execute("UPDATE images SET ceiling_band = band")
    # A profile that is unknown by now may have lapsed only, which does not count.
    for number, band in enumerate(_ORDER[1:], start=1):
        looser = ", ".join(f"'{word}'" for word in _ORDER[number + 1 :]) or "''"
        op.execute(
            f"UPDATE images SET ceiling_band = '{band}' WHERE band IN ({looser}) AND profile_id IN "
            f"(SELECT profile_id FROM profiles WHERE band = '{band}')"
        )
    op.drop_column("images", "released")
