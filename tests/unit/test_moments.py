"""Moments in the bodies of requests: read as UTC, and refused where UTC's calendar has none."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from service.routes.holds import LegalHoldBody
from service.routes.takedowns import NoticeBody

MOMENTS = {
    "until": lambda text: LegalHoldBody(kind="legal", reference="case", profile_id="u", until=text).until,
    "received_at": lambda text: NoticeBody(kind="other", reference="case", received_at=text).received_at,
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_moment_is_read_as_utc(moment):
    assert moment("2026-12-01T10:00:00+02:00") == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert moment("2026-12-01T10:00:00+02:00").utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "2026-12-01T10:00:00", "soon", ""]
)
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_what_is_no_moment_of_utc_is_refused(moment, text):
    with pytest.raises(ValidationError):
        moment(text)
