"""One trace leads from an upload to its publication, through every process, and none of its spans names anybody."""

import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from nightlight import telemetry
from nightlight.settings.process import TracingSettings
from nightlight.telemetry.exported import ATTRIBUTES, AllowedOnly
from tests.support import pictures
from tests.support.stacks import Scale
from tests.support.waiting import HANG_S, eventually

pytestmark = pytest.mark.integration
PROFILE = "child-of-example.org-4711"


class Collector(ThreadingHTTPServer):
    """Receives spans as a collector of OpenTelemetry does: protobuf over HTTP."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies, self.spans = [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def received(self, body):
        self.bodies.append(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            process = {entry.key: entry.value.string_value for entry in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [(process, span) for span in scope.spans]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"

    def traces(self):
        by_trace = defaultdict(list)
        for process, span in list(self.spans):
            by_trace[span.trace_id].append((process["service.name"], span))
        return by_trace


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.received(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def collector():
    server = Collector()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def stack(collector, tmp_path_factory):
    more = {"NIGHTLIGHT_TRACING_ENDPOINT": collector.url, "NIGHTLIGHT_TRACING_SHARE": "1"}
    with Scale(tmp_path_factory.mktemp("telemetry"), **more) as started:
        yield started


@pytest.fixture(scope="module")
def uploaded(stack):
    """A picture that was uploaded, published, asked for and decided about."""
    with stack.client() as client:
        client.declare(PROFILE, band="under_13", assurance="verified", region="eu", choice="connections")
        image_id = client.upload(PROFILE, pictures.jpeg()).image_id
        assert client.wait(image_id).state == "ready"
        client.decide("peer", "profile", [(PROFILE, "stranger")], viewer_id="somebody-7")
    return image_id


def test_one_trace_from_the_upload_to_the_publication(collector, stack, uploaded):
    def whole():
        for spans in collector.traces().values():
            names = {(process, span.name) for process, span in spans}
            if ("nightlight-work", "run/nightlight.render") in names and any(n.startswith("POST") for _, n in names):
                return names
        return None

    names = eventually(whole, HANG_S)
    wanted = {
        ("nightlight-service", "POST /v1/profiles/{profile_id}/image"),
        ("nightlight-service", "S3.PutObject"),
        ("nightlight-service", "INSERT"),
        ("nightlight-schedule", "outbox.publish"),
        ("nightlight-work", "sandbox.frame"),
        ("nightlight-work", "S3.GetObject"),
        ("nightlight-work", "S3.PutObject"),
        ("nightlight-work", "UPDATE"),
    }
    assert wanted <= names, names


def test_parents_lead_from_the_last_span_to_the_first(collector, stack, uploaded):
    eventually(lambda: any(span.name == "sandbox.frame" for _, span in collector.spans), HANG_S)
    _, last = next(entry for entry in collector.spans if entry[1].name == "sandbox.frame")
    spans = {span.span_id: (process["service.name"], span) for process, span in collector.spans}

    def way():
        processes, span = [], last
        while span is not None:
            process = spans[span.span_id][0]
            processes = processes if processes[-1:] == [process] else [*processes, process]
            span = spans[span.parent_span_id][1] if span.parent_span_id in spans else None
        return processes

    assert way() == ["nightlight-work", "nightlight-schedule", "nightlight-service"]


def test_no_span_names_anybody_or_anything(collector, stack, uploaded):
    assert len(collector.spans) > 50
    secret = [PROFILE, "somebody-7", uploaded, "127.0.0.1", "under_13", stack.queue, "nightlight_test", ".webp"]
    secret += [stack.buckets.originals, stack.buckets.renditions, "SELECT ", "http://", "traceparent"]
    for body in list(collector.bodies):
        assert not [word for word in secret if word.encode() in body]
    for process, span in list(collector.spans):
        assert set(process) == {"service.name", "service.version"}
        assert {entry.key for entry in span.attributes} <= ATTRIBUTES
        assert not span.events
        assert not span.status.message
        assert not span.trace_state
        assert all(not link.attributes and not link.trace_state for link in span.links)


def test_pictures_and_probes_make_no_spans(collector, stack, uploaded):
    import httpx

    with stack.client() as client:
        url = client.decide("peer", "profile", [(PROFILE, "stranger")], viewer_id="somebody-7")[0].url
    assert httpx.get(url if "://" in url else stack.url + url).status_code == 200
    httpx.get(stack.url + "/healthz")
    time.sleep(2.5)
    routes = {e.value.string_value for _, s in collector.spans for e in s.attributes if e.key == "http.route"}
    assert not [route for route in routes if route.startswith(("/a/", "/healthz", "/metrics"))], routes


@pytest.fixture
def exported():
    sent = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(AllowedOnly(sent)))
    return provider.get_tracer("t"), sent


@pytest.mark.parametrize(
    ("name", "sent_as"),
    [
        ("sandbox.frame", "sandbox.frame"), ("SELECT nightlight", "SELECT"), ("S3.PutObject", "S3.PutObject"),
        ("run/nightlight.render", "run/nightlight.render"), ("u-81", "other"), ("", "other"),
        ("run/nightlight.render u-81", "run/nightlight.render"), ("/v1/profiles/u-81", "other"),
    ],
)  # fmt: skip
def test_names_of_spans_are_words_of_code(exported, name, sent_as):
    tracer, sent = exported
    with tracer.start_as_current_span(name):
        pass
    assert [span.name for span in sent.get_finished_spans()] == [sent_as]


def test_what_libraries_write_besides_is_left_out(exported):
    tracer, sent = exported
    written = {"http.route": "/v1/profiles/{profile_id}", "http.url": f"http://x/{PROFILE}", "db.statement": "SELECT 1"}
    written |= {"http.method": "GET", "error.type": "no word but a sentence", "rpc.method": "PutObject"}
    with pytest.raises(ValueError), tracer.start_as_current_span("u", kind=SpanKind.SERVER, attributes=written):
        raise ValueError(PROFILE)
    (span,) = sent.get_finished_spans()
    kept = {"http.route": "/v1/profiles/{profile_id}", "http.method": "GET", "rpc.method": "PutObject"}
    assert (dict(span.attributes), span.name) == (kept, "GET /v1/profiles/{profile_id}")
    assert (span.events, span.status.description) == ((), None)


def test_without_a_collector_nothing_is_made_and_a_span_costs_next_to_nothing():
    telemetry.configure(TracingSettings(endpoint=None), "test")
    assert telemetry.traceparent() is None
    assert telemetry.span("a.b") is telemetry.continued(None, "a.b")
    times = 200_000
    began = time.process_time()
    for _ in range(times):
        with telemetry.span("a.b"):
            pass
    assert (time.process_time() - began) / times < 20e-6  # some 0.2 microseconds; a slow machine is no failure
