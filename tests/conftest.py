import functools
import os
import signal
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import httpx
import pytest
from hypothesis import settings

from nightlight.imaging.face import FaceDetector
from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps
from nightlight.imaging.recipe import build_recipes
from nightlight.imaging.sandbox import Sandbox, SandboxLimits
from nightlight.imaging.visible_watermark import VisibleWatermark
from nightlight.policy import yaml_source
from nightlight.policy.compile import compile_folder
from nightlight_client import HttpOptions
from tests.support.waiting import HANG_S

ROOT = Path(__file__).parents[1]
# What takes longest for what it finds: `make test-slow` runs these, and so does CI.
SLOW = (
    "tests/e2e/test_erased_without_residue.py", "tests/e2e/test_exports.py", "tests/e2e/test_lists.py",
    "tests/e2e/test_local.py", "tests/e2e/test_policy_rollout.py",
    "tests/e2e/test_receipts.py", "tests/e2e/test_rerender.py", "tests/e2e/test_scrapers.py",
    "tests/e2e/test_takedown_review.py", "tests/e2e/test_variants.py", "tests/failure/", "tests/integration/flows/test_ages.py",
    "tests/integration/flows/test_approvals.py", "tests/integration/flows/test_emergency.py",
    "tests/integration/flows/test_faulty_store.py", "tests/integration/flows/test_policy_dates.py",
    "tests/integration/flows/test_rerender.py", "tests/integration/flows/test_rerender_runs.py",
    "tests/integration/flows/test_takedown_reviews.py", "tests/integration/flows/test_takedowns.py",
    "tests/integration/imaging/test_render_command.py",
    "tests/integration/imports/test_import_picture.py", "tests/integration/retention/test_holds.py",
    "tests/integration/retention/test_lifecycle", "tests/integration/retention/test_probe.py",
    "tests/integration/store/test_faulty_s3.py", "tests/integration/test_parity_over_time.py",
    "tests/policy/test_broken.py", "tests/policy/test_weakened.py", "tests/unit/delivery/test_variants.py",
    "tests/unit/policy/test_bundle.py::test_every_field", "tests/unit/policy/test_capture.py",
    "tests/unit/policy/test_dated_", "tests/unit/policy/test_dates.py", "tests/unit/policy/test_large_packs.py",
    "tests/unit/policy/test_prove.py", "tests/unit/policy/test_table.py", "tests/unit/watermark/test_detect.py",
)  # fmt: skip

# Each of the many processes that the tests start would compile the whole product anew.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".pytest_cache/pycache"))

# A run that a shell began in its background ignores SIGINT, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A slow machine is no failure: no timing decides a test.
settings.register_profile("nightlight", deadline=None)
settings.load_profile("nightlight")
# Nor do the five seconds that httpx waits where a test says nothing, or the ten of our own clients.
timeouts = httpx._config.DEFAULT_TIMEOUT_CONFIG
timeouts.connect = timeouts.read = timeouts.write = timeouts.pool = HANG_S
HttpOptions.__init__.__kwdefaults__.update(connect_s=HANG_S, step_s=HANG_S)
# Every `httpx.get` makes a client, and each client would read all certificates anew: 30 ms of processor.
httpx._transports.default.create_ssl_context = functools.cache(httpx._transports.default.create_ssl_context)


def parse_once(parse):
    """Return ``parse``, which reads each YAML text without a problem once: most packs of tests differ in one file."""
    sources = {}

    def parse_yaml(text, file, problems):
        if (source := sources.get((text, file))) is None:
            noted = len(problems.entries)
            source = parse(text, file, problems)
            if source is not None and len(problems.entries) == noted:
                sources[text, file] = source
        return source

    return parse_yaml


yaml_source.parse_yaml = parse_once(yaml_source.parse_yaml)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def compiled():
    return compile_folder(ROOT / "policies")


@pytest.fixture(scope="session")
def table(compiled):
    return compiled.table


@pytest.fixture(scope="session")
def all_recipes(table):
    return build_recipes(table.tiers, order=("none", *table.tiers))


@pytest.fixture(scope="session")
def caps():
    return UploadCaps()


@pytest.fixture(scope="session")
def sandbox():
    """The real sandbox; a test that has it killed gets, and leaves behind, a fresh helper."""
    with Sandbox(SandboxLimits(wall_s=HANG_S, start_s=HANG_S)) as started:
        yield started


@pytest.fixture(scope="session")
def pipeline(caps, sandbox):
    return Pipeline(caps, sandbox, FaceDetector(), VisibleWatermark(), InvisibleWatermarkWriter(bytes(range(32))))


@pytest.fixture(scope="session")
def render(pipeline):
    """The pipeline with its real sandbox and its real face detector: bytes and recipes to renditions."""
    return lambda data, wanted, **asked: pipeline.render(data, wanted, **asked).renditions
