"""How a process says that it cannot start: one line, its code and what to do, and no traceback."""

from __future__ import annotations

import sys

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from nightlight import logs
from nightlight.settings.process import GeneralSettings, LogSettings
from nightlight_core.errors import CatalogueUnavailable, NightlightError, SettingsRefused

# What stops a start: our own errors, a file that cannot be read, a database that refuses.
START_ERRORS = (NightlightError, OSError, DBAPIError)
EXIT_REFUSED = 2


def refuse_to_start(process: str, error: Exception) -> int:
    """Log why ``process`` does not start, or print it where the settings of logs are not known; return the exit status.

    Of a database's error only the cause is told: statements and values may hold what no log may.
    """
    if isinstance(error, DBAPIError):
        error = CatalogueUnavailable(f"the database refused: {type(error.orig).__name__}")
    elif isinstance(error, OSError):
        error = SettingsRefused(f"{error.filename or 'a file'}: {error.strerror or error}")
    code = error.code if isinstance(error, NightlightError) else NightlightError.code
    try:
        if not structlog.is_configured():  # a setting was refused: those of logs may be good all the same
            logs.configure(GeneralSettings(), LogSettings())
        logs.get(process).error(f"{process}.not_started", code=code, detail=str(error))
    except ValidationError:
        sys.stderr.write(f"nightlight: {error}\n")
    return EXIT_REFUSED
