import subprocess
import sys

import pytest

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
