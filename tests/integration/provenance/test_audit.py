"""Whatever is asked of manifests is in the audit log, with what was asked about; nobody's id, and no age."""

import io
import threading

import pytest

from nightlight.catalogue.schema import audit
from nightlight.flows.traces.manifest_lookup import CallerRate, ManifestLookup
from nightlight.provenance.manifest import WATERMARK_ALGORITHM, watermark_binding
from nightlight_core.errors import ImageRefused, NotFound, Unavailable
from tests.integration.flows.conftest import profile_id, services  # noqa: F401 - fixtures
from tests.support import pictures

pytestmark = pytest.mark.integration
OWN_WATERMARKS = True


class TraceSearches:
    """Traces that end at once, and found nothing."""

    def __init__(self, state="done", reason=None):
        self.state, self.reason = state, reason
        self.result = {"origins": []} if state == "done" else None

    def accept(self, copy, *, keep, actor):
        return self

    def status(self, trace_id, *, actor):
        return self

    trace_id = "0" * 32


def asked(services, actor):  # noqa: F811
    with services.catalogue.reading() as tx:
        rows = tx.connection.execute(audit.select().where(audit.c.actor == actor).order_by(audit.c.entry_id)).all()
    return [(row.event, row.detail) for row in rows]


def test_what_was_asked_is_said(services, profile_id):  # noqa: F811
    image = services.upload(profile_id, pictures.photograph())
    assert services.deliver() == ["ready"]
    with services.catalogue.reading() as tx:
        row = next(rendition for rendition in tx.images.renditions(image.image_id) if rendition.watermark is not None)
    resolve = ManifestLookup(
        services.catalogue,
        services.renditions,
        TraceSearches(),
        CallerRate(100),
        services.clock,
        threading.BoundedSemaphore(),
    )
    actor = f"investigator-{profile_id}"
    value = watermark_binding(row.watermark)
    (match, *_) = resolve.by_binding(WATERMARK_ALGORITHM, value, actor=actor)
    resolve.by_reference(f"https://pictures.example/a/{row.name}.webp?e=1&s=2", actor=actor)
    resolve.by_content(io.BytesIO(b"x"), algorithm=WATERMARK_ALGORITHM, actor=actor)
    resolve.by_content(io.BytesIO(b"x"), actor=actor)
    resolve.manifest(match.manifest_id, actor=actor)
    nothing = "urn:c2pa:00000000-0000-0000-0000-000000000000"
    with pytest.raises(NotFound):
        resolve.manifest(nothing, actor=actor)
    entries = asked(services, actor)
    assert entries == [
        ("manifest.asked", {"by": WATERMARK_ALGORITHM, "value": value}),
        ("manifest.asked", {"by": "reference", "name": row.name}),
        ("manifest.asked", {"by": WATERMARK_ALGORITHM, "trace_id": "0" * 32}),
        ("manifest.asked", {"by": "content", "trace_id": "0" * 32}),
        ("manifest.read", {"manifest_id": match.manifest_id}),
        ("manifest.read", {"manifest_id": nothing}),
    ]
    assert profile_id not in str([detail for _, detail in entries])
    assert "age_13_15" not in str(entries)


@pytest.mark.parametrize(
    ("state", "reason", "error"),
    [("rejected", "corrupt_image", ImageRefused), ("failed", "decoder_died", Unavailable)],
)
def test_a_trace_that_did_not_end_well_is_no_answer_that_nothing_matches(services, state, reason, error):  # noqa: F811
    traces = TraceSearches(state, reason)
    resolve = ManifestLookup(
        services.catalogue, services.renditions, traces, CallerRate(100), services.clock, threading.BoundedSemaphore()
    )
    with pytest.raises(error, match=reason):
        resolve.by_content(io.BytesIO(b"x"), actor="investigator")
