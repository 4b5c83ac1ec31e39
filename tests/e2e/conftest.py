import httpx
import pytest

from nightlight.cli import key_commands
from tests.support import authzen_scenarios, node, pictures
from tests.support.social_graph import social_graph
from tests.support.stacks import STACKS, Embedded


@pytest.fixture(scope="session", params=sorted(STACKS))
def stack(request, tmp_path_factory):
    """A whole running Nightlight; every test of this folder runs on both kinds."""
    with STACKS[request.param](tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture(scope="session", params=sorted(STACKS))
def quick_stack(request, tmp_path_factory):
    """Another one, where erasures are proved again at once and quotas are small; no test leaves a failed job here."""
    settings = {
        "NIGHTLIGHT_RETENTION_PROVE_AGAIN_S": "1",
        "NIGHTLIGHT_RETENTION_RESIDUALS": "database backups:35,access logs:14",
        "NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "60",
        "NIGHTLIGHT_POLICY_POLL_S": "0.1",
    }
    with STACKS[request.param](tmp_path_factory.mktemp(f"quick-{request.param}"), **settings) as started:
        yield started


@pytest.fixture(scope="session", params=sorted(STACKS))
def rollout_stack(request, tmp_path_factory):
    """Another one, for tests that change its policy: all others expect the default."""
    settings = {
        "NIGHTLIGHT_POLICY_COUNTER_FLUSH_S": "0.2",
        "NIGHTLIGHT_POLICY_COUNTER_THRESHOLD": "3",
        "NIGHTLIGHT_POLICY_POLL_S": "0.2",
    }
    with STACKS[request.param](tmp_path_factory.mktemp(f"rollout-{request.param}"), **settings) as started:
        yield started


@pytest.fixture(scope="session")
def embedded_stack(tmp_path_factory):
    """One on this machine whose relation proofs have a leeway of a second: the default is too long to wait for."""
    with Embedded(tmp_path_factory.mktemp("leeway"), NIGHTLIGHT_RELATIONS_LEEWAY_S="1") as started:
        yield started


@pytest.fixture(scope="session")
def npm():
    """The command npm, where the TypeScript client's packages are installed."""
    return node.npm()


@pytest.fixture(scope="session")
def built(npm):
    """The TypeScript client is built."""
    node.run([npm, "run", "--silent", "build"])


@pytest.fixture(scope="session")
def client(stack):
    with stack.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def bands():
    return ("unknown", "under_13", "age_13_15", "age_16_17", "adult")


@pytest.fixture(scope="session")
def people(client, bands):
    """One ready profile for each band, all with the same photograph: {band: (profile id, image id)}."""
    picture = pictures.photograph("astronaut.png")
    picture_ids = {}
    for band in bands:
        profile_id = f"person-{band}"
        client.declare(profile_id, band=band, assurance="verified", region="eu", choice="connections")
        picture_ids[band] = (profile_id, client.upload(profile_id, picture).image_id)
    for _, image_id in picture_ids.values():
        assert client.wait(image_id).state == "ready"
    return picture_ids


@pytest.fixture(scope="session", params=sorted(STACKS))
def certified(request, tmp_path_factory):
    with social_graph(authzen_scenarios.CONNECTIONS) as url:
        settings = {
            **authzen_scenarios.SETTINGS,
            "NIGHTLIGHT_RELATIONS_PROVIDER_URL": url,
            "NIGHTLIGHT_RELATIONS_PROVIDER_TIMEOUT_S": "10",
        }
        with STACKS[request.param](tmp_path_factory.mktemp(f"authzen-{request.param}"), **settings) as stack:
            yield stack


@pytest.fixture(scope="session")
def certified_platform(certified):
    with certified.client() as client:
        for person in ("alice", "bob"):
            client.declare(person, band="adult", assurance="verified", region="eu")
        for record in ("record-1", "record-2"):
            client.declare(record, band="adult", assurance="verified", region="eu", choice="connections")
            image_id = client.upload(record, pictures.photograph("coffee.png"), crop=(0, 0, 200, 200)).image_id
            assert client.wait(image_id).state == "ready"
        yield client


@pytest.fixture(scope="session")
def certified_http(certified, certified_platform):
    assert certified_platform
    token = key_commands.token(certified.folder, scopes=["decide", "search"], subject="pep", hours=12)
    with httpx.Client(base_url=certified.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def certified_search(certified_http):
    def results(path, body):
        answer = certified_http.post(f"/access/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return results
