import hashlib
import subprocess
import sys

import pytest

from nightlight.imaging.crop import Region
from tests.support.buckets import bucket_pair
from tests.support.databases import catalogue_on, postgres_database
from tests.support.waiting import HANG_S


@pytest.fixture(scope="session")
def postgres_url():
    with postgres_database() as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def catalogue(request, tmp_path_factory):
    """A catalogue of the module's own, on both databases in turn."""
    with catalogue_on(request.param, tmp_path_factory.mktemp("catalogue")) as opened:
        yield opened


@pytest.fixture(scope="session")
def buckets():
    with bucket_pair() as pair:
        yield pair


@pytest.fixture(params=["sqlite", "postgres"])
def fresh(request, tmp_path):
    """A catalogue of the test's own."""
    with catalogue_on(request.param, tmp_path) as opened:
        yield opened


# Renditions of pictures that were drawn before: most tests here are not about pixels. Bytes of a picture always give
# the same ones, but for the number in their invisible watermarks.
_DRAWN = {}


@pytest.fixture
def draw(render, request):
    """The real pipeline, once for each picture; a module that reads watermarks back says OWN_WATERMARKS = True."""

    def drawn(data, recipes, crop, numbers):
        def fresh():
            region = Region.parse(crop, max_side=9999) if crop else None
            return render(data, recipes, region=region, watermark_ids=numbers)

        if getattr(request.module, "OWN_WATERMARKS", False):
            return fresh()
        key = hashlib.sha256(data).digest(), tuple(recipe.digest for recipe in recipes), crop, frozenset(numbers)
        if key not in _DRAWN:
            if len(_DRAWN) >= 50:
                _DRAWN.clear()
            _DRAWN[key] = fresh()
        return _DRAWN[key]

    return drawn


@pytest.fixture(scope="module")
def sqs_url():
    """SQS and KMS: moto's server in a process of its own; it prints the port that it was given."""
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from moto.server import ThreadedMotoServer\n"
        "server = ThreadedMotoServer('127.0.0.1', 0, verbose=False); server.start()\n"
        "print(server.get_host_and_port()[1], flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()
        server.wait(HANG_S)
