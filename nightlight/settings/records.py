"""Settings of records: for how long the catalogue keeps what tells of work that is done."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from nightlight.settings.base import config


class RecordSettings(BaseSettings):
    """For how long rows are kept that tell of work which is done."""

    model_config = config("NIGHTLIGHT_RECORDS_")

    jobs_days: int = Field(default=100, ge=8, le=3650)
    """Days that an ended job is kept, and after its deletion a trace search: the report of a quarter counts them."""
    imports_days: int = Field(default=400, ge=30, le=3650)
    """Days that an imported key is kept once its picture is gone, or if it led to none. A walk of the same bucket after
    that looks at the key again: not less than `NIGHTLIGHT_ERASURE_KEEP_DAYS`, unless what is erased here is deleted
    there too."""
    audit_days: int = Field(default=1100, ge=367, le=36_500)
    """Days that a line of the audit log is kept: three years, which is a choice and no law. Lines about pictures that
    are gone have days of their own in the policy (`erasure_audit`). The database itself refuses to drop a younger line
    than of a year."""
    figures_days: int = Field(default=800, ge=32, le=3650)
    """Days that counts of decisions and of sweeps are kept: two years, so that a report can be compared with the one of
    a year before."""
    signals_days: int = Field(default=180, ge=1, le=3650)
    """Days that an abuse signal is kept after it was last seen: it names a viewer or a network."""
    events_days: int = Field(default=14, ge=4, le=90)
    """Days that an event for the platform is kept after it was written, taken or not: for so long it can be sent again.
    Retries take three days."""
