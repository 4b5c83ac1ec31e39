"""Every ring is rotated on a running Nightlight, and no URL, picture, decision, token, proof or receipt is missed.

The command reads the record of when each step was taken; where a test must not wait for days it moves those moments into
the past, and lets what the old key signed really expire first where that can be told.
"""

import base64
import json
import shutil
import time
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import select

from nightlight.catalogue.retention_schema import tombstones
from nightlight.catalogue.schema import images, renditions
from nightlight.cli import key_commands
from nightlight.cli.embedded import free_port
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_folder
from nightlight.policy.signing import SigningKey
from nightlight.provenance.certificates import SigningAlgorithm, create_development_chain
from nightlight.provenance.verify import ManifestState, verify_manifest
from nightlight_core.clock import system_clock
from nightlight_core.decisions.relation_proofs import issue_proof
from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.files import replace_file
from nightlight_core.keyring import KeyRing
from nightlight_core.live_files import RingFile
from tests.support import pictures
from tests.support.command import run_command
from tests.support.edge import PURGE_TOKEN, Edge
from tests.support.services import S3_SERVICE
from tests.support.stacks import ROOT, Embedded, LongTimeoutClient, Scale
from tests.support.url_watcher import UrlWatcher
from tests.support.waiting import HANG_S, eventually

pytestmark = pytest.mark.integration
PROFILE = "watched"
LIFE_S = 8
SETTINGS = {
    "NIGHTLIGHT_DELIVERY_MAX_LIFE_S": str(LIFE_S),
    "NIGHTLIGHT_RETENTION_PROVE_AGAIN_S": "1",
    "NIGHTLIGHT_POLICY_POLL_S": "0.2",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with Embedded(tmp_path_factory.mktemp("rotation"), **SETTINGS) as started:
        yield started


def client_at(stack, url, secrets):
    """A platform's client, which follows its own keys too."""
    return LongTimeoutClient(
        url,
        token=lambda: key_commands.token(stack.folder, scopes=None, subject="platform", hours=1),
        relation_keys=RingFile(secrets / key_commands.RELATIONS),
        viewer_id="somebody",
        budget_s=HANG_S,
    )


@pytest.fixture(scope="module")
def client(stack):
    with client_at(stack, stack.url, stack.folder / "keys/secrets") as connected:
        connected.declare(PROFILE, band="adult", assurance="verified", region="eu", choice="connections")
        assert connected.wait(connected.upload(PROFILE, pictures.jpeg(700, 700)).image_id).state == "ready"
        yield connected


@pytest.fixture
def watcher(stack, client):
    with UrlWatcher([client], [stack.url], PROFILE) as watching:
        yield watching
        watching.more_rounds()


@pytest.fixture
def rotate(stack):
    ports = [stack.environment[f"NIGHTLIGHT_WORKER_{name}HEALTH_PORT"] for name in ("", "SCHEDULE_")]
    named = [stack.url, *(f"http://127.0.0.1:{port}" for port in ports)]

    def run(name, *more, code=0):
        given = [part for address in named for part in ("--process", address)]
        return rotated(stack._stack.environment, name, *given, *more, code=code)

    return run


def rotated(environment, name, *more, code=0):
    done = run_command(["keys", "rotate", name, "--json", *more], environment)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def in_the_past(folder, by):
    """Move what is recorded of rotations back."""
    path = folder / "rotations.json"
    record = json.loads(path.read_text())
    for keys in record.values():
        for moments in keys.values():
            moments.update({what: (datetime.fromisoformat(at) - by).isoformat() for what, at in moments.items()})
    path.write_text(json.dumps(record))


def through(rotate, watcher, name, *more):
    """Add and promote; return the new key's id. Nothing is promoted before processes have it, and nothing retired."""
    added = rotate(name, *more)
    assert (added["step"], added["done"]) == ("add", True)
    watcher.more_rounds()
    promoted = rotate(name)
    assert (promoted["step"], promoted["key"]) == ("promote", added["key"])
    watcher.more_rounds()
    return added["key"].rpartition("-")[0]


def upload(client, profile_id, seed=1):
    client.declare(profile_id, band="adult", assurance="verified", region="eu", choice="connections")
    image = client.wait(client.upload(profile_id, pictures.jpeg(700, 700, seed=seed)).image_id)
    assert image.state == "ready"
    return image.image_id


def written(stack, image_id, column):
    with stack.catalogue.reading() as tx:
        query = select(column).join(images, images.c.image_id == renditions.c.image_id)
        return set(tx.connection.execute(query.where(images.c.image_id == image_id)).scalars())


def tombstone_keys(stack):
    with stack.catalogue.reading() as tx:
        return list(tx.connection.execute(select(tombstones.c.key_id)).scalars())


def test_urls(stack, client, watcher, rotate):
    assert through(rotate, watcher, "urls") == "d2"
    eventually(lambda: "d2" in watcher.key_ids)
    refused = rotate("urls", code=2)
    assert refused["step"] == "retire"
    assert refused["not_before"] > datetime.now().astimezone().isoformat()
    folder = stack.folder / "keys/secrets"
    old = KeyRing.parse((folder / "nightlight_delivery_signing_keys").read_text().split(",")[1], "x")
    watcher.more_rounds()
    (decision,) = client.decide("peer", "profile", [(PROFILE, "self")])
    assert "k=d2" in decision.url
    time.sleep(LIFE_S)  # nothing that d1 signed is good any more
    in_the_past(folder, timedelta(days=4))
    assert rotate("urls")["done"]
    assert list(KeyRing.parse((folder / "nightlight_delivery_signing_keys").read_text(), "x").keys) == ["d2"]
    path = decision.url.removeprefix(stack.url).partition("?")[0]
    by_old, _ = HmacUrlSigner(old, stack.url).url(path, now=int(time.time()), life_s=60)
    eventually(lambda: httpx.get(by_old).status_code == 404)


def test_names(stack, client, watcher, rotate):
    watcher.more_rounds()
    (before,) = watcher.placeholders
    assert through(rotate, watcher, "names") == "n1"
    eventually(lambda: len(watcher.placeholders) == 2)  # another name, and the old one is served all the while
    upload(client, "named-anew", seed=2)
    assert rotate("names")["note"].startswith("kept for reading")
    assert before in watcher.placeholders


def test_watermark(stack, client, watcher, rotate):
    marked = upload(client, "marked-before", seed=3)
    assert through(rotate, watcher, "watermark") == "m2"
    again = eventually(
        lambda: (
            {"m2"} == written(stack, upload(client, "marked", int(time.time())), renditions.c.watermark_key) - {None}
        )
    )
    assert again
    assert written(stack, marked, renditions.c.watermark_key) - {None} == {"m1"}
    assert "copies with its watermark" in rotate("watermark")["note"]


def test_relation(stack, client, watcher, rotate):
    path = stack.folder / "keys/secrets/nightlight_relations_keys"
    old = KeyRing.parse(path.read_text(), "x").keys

    def resolved(keys):
        proof = issue_proof(keys, "v", PROFILE, "connection", now=int(time.time()))
        item = {"profile_id": PROFILE, "relation": "connection", "proof": proof}
        body = {"viewer": "peer", "context": "profile", "viewer_id": "v", "items": [item]}
        token = key_commands.token(stack.folder, scopes=["explain"], subject="x", hours=1)
        answer = httpx.post(f"{stack.url}/v1/explain", json=body, headers={"Authorization": f"Bearer {token}"})
        return answer.raise_for_status().json()["items"][0]["inputs"]["relation"]

    platform = RingFile(path)
    assert resolved(platform) == "connection"
    assert through(rotate, watcher, "relation") == "r2"
    eventually(lambda: next(iter(platform)) == "r2")
    assert resolved(platform) == resolved(old) == "connection"
    rotate("relation", code=2)
    in_the_past(path.parent, timedelta(hours=2))
    assert rotate("relation")["done"]
    eventually(lambda: resolved(old) == "stranger")
    assert resolved(platform) == "connection"


def test_erasure_and_receipts(stack, client, watcher, rotate):
    assert through(rotate, watcher, "erasure") == "e2"
    key_id = through(rotate, watcher, "receipts")
    image_id = upload(client, "erased", seed=5)
    client.delete_profile("erased")
    (receipt,) = eventually(lambda: client.receipts(image_id))[:1]
    assert receipt["key_id"] == key_id
    written_by = eventually(lambda: tombstone_keys(stack))
    assert {name.partition("-")[0] for name in written_by} == {"e2"}
    out = stack.folder / "receipts.jsonl"
    environment = stack.as_role("operator")
    assert run_command(["receipt", "export", "--out", out], environment).returncode == 0
    public = stack.folder / "keys/receipts.jwks.json"
    done = run_command(["receipt", "verify", out, "--keys", public, "--json"], environment)
    assert json.loads(done.stdout)["problems"] == []
    assert "for as long as anybody has one" in rotate("receipts")["note"]
    rotate("erasure", code=2)


def test_publisher_and_safety(stack, client, watcher, rotate, tmp_path):
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    rules, private = tmp_path / "p/rules.yaml", stack.folder / "keys/publisher.private.jwk.json"
    for case in (tmp_path / "p/cases").glob("*.yaml"):
        case.unlink()

    def activate(version, per_hour):
        lines = "at_most: {tier: medium, cache_s: 300, per_hour: 600}"
        text = rules.read_text().replace(lines, f"at_most: {{tier: medium, cache_s: 300, per_hour: {per_hour}}}")
        rules.write_text(text)
        client.activate(build_bundle(compile_folder(tmp_path / "p"), version, SigningKey.read(private)))

    activate(1, 600)
    through(rotate, watcher, "publisher")
    assert "bundle 1" in rotate("publisher", code=2)["refused"]
    activate(2, 120)
    watcher.more_rounds()
    assert "bundle 1" in rotate("publisher", code=2)["refused"]  # it can be brought back
    through(rotate, watcher, "safety")
    rotate("safety", code=2)


def test_c2pa(stack, client, watcher, rotate, tmp_path):
    create_development_chain(tmp_path / "next", SigningAlgorithm.ED25519, system_clock())
    leaf = through(rotate, watcher, "c2pa", "--from", str(tmp_path / "next"))
    assert leaf == "leaf"
    root = (tmp_path / "next/root.pem").read_text()

    def signed_anew():
        upload(client, "signed", int(time.time()))
        (decision,) = client.decide("peer", "profile", [("signed", "connection")])
        shown = httpx.get(decision.url).content
        return verify_manifest(shown, "image/webp", anchors=root).state is ManifestState.TRUSTED

    eventually(signed_anew)


def test_callers(stack, client, watcher, rotate):
    private = stack.folder / "keys/caller.private.jwk.json"
    old = key_commands.token(stack.folder, scopes=["decide"], subject="x", hours=1)
    through(rotate, watcher, "callers")
    header = json.loads(base64.urlsafe_b64decode(old.partition(".")[0] + "=="))
    assert json.loads(private.read_text())["kid"] != header["kid"]
    with LongTimeoutClient(stack.url, token=old, relation_keys={}, viewer_id="v") as before:
        before.decide("peer", "profile", [(PROFILE, "stranger")])
    rotate("callers", code=2)
    in_the_past(private.parent, timedelta(days=2))
    assert rotate("callers")["done"]

    def refused():
        body = {"viewer": "peer", "context": "profile", "items": [{"profile_id": PROFILE, "relation": "stranger"}]}
        headers = {"Authorization": f"Bearer {old}"}
        return httpx.post(f"{stack.url}/v1/decisions", json=body, headers=headers).status_code == 401

    eventually(refused)


def test_no_key_is_printed(stack, rotate):
    for name in ("urls", "watermark"):
        shown = json.dumps(rotate(name, "--step", "add", "--dry-run"))
        for path in (stack.folder / "keys/secrets").glob("nightlight_*"):
            assert not [part for part in path.read_text().split(",") if part.rpartition(":")[2] in shown]


class TwoNodes(Scale):
    """Two services and a worker, each with a folder of keys of its own, as on machines of their own."""

    FILES = (*key_commands.RINGS, "nightlight_store_seal_public_key", "nightlight_store_seal_private_keys")

    def __init__(self, folder):
        self.port = free_port()
        self.second = f"http://127.0.0.1:{self.port}"
        self.secrets = {name: folder / f"secrets-{name}" for name in ("service", "service-2", "worker")}
        super().__init__(folder, **SETTINGS)

    def with_keys(self, name, environment):
        folder = self.secrets["worker" if name == "schedule" else name]
        if not folder.exists():
            folder.mkdir()
            given = {**key_commands.environment(self.folder), **key_commands.seal_environment(self.folder, name)}
            for file in self.FILES:
                if file.upper() in given:
                    (folder / file).write_text(given[file.upper()])
        port = {"NIGHTLIGHT_SERVICE_PORT": str(self.port)} if name == "service-2" else {}
        return {**self.without_keys(environment), **port, "NIGHTLIGHT_SECRETS_DIR": str(folder)}

    def without_keys(self, environment):
        return {name: value for name, value in environment.items() if name.lower() not in self.FILES}

    def start_second(self):
        self._spawn("service-2", S3_SERVICE, "service")
        self._wait_ready(self.second)

    def hand_over(self, name, file="nightlight_delivery_signing_keys"):
        """Bring a file from the first service's folder to another."""
        to = self.secrets[name] / file if name in self.secrets else name
        replace_file(to, (self.secrets["service"] / file).read_text())


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with TwoNodes(tmp_path_factory.mktemp("nodes")) as started:
        started.start_second()
        with started.client() as client:
            client.declare(PROFILE, band="adult", assurance="verified", region="eu", choice="connections")
            assert client.wait(client.upload(PROFILE, pictures.jpeg(700, 700)).image_id).state == "ready"
        yield started


def test_urls_on_two_services_and_an_edge_that_get_the_key_one_after_the_other(nodes, tmp_path):
    ring = tmp_path / "edge-ring"
    nodes.hand_over(ring)
    folder = nodes.secrets["service"]
    environment = {
        **nodes.without_keys(nodes.as_role("operator")),
        "NIGHTLIGHT_DELIVERY_PURGE_TOKEN": PURGE_TOKEN,
    }

    def rotate(*more, code=0):
        named = "--process", nodes.url, "--process", nodes.second
        return rotated(environment, "urls", "--folder", str(folder), *named, "--wait", "4", *more, code=code)

    with Edge(tmp_path / "edge", nodes.buckets, "", keys_file=ring) as edge:
        environment["NIGHTLIGHT_DELIVERY_PURGE_URL"] = f"{edge.url}/purge"
        second = client_at(nodes, nodes.second, folder)
        with (
            nodes.client() as first,
            second,
            UrlWatcher([first, second], [nodes.url, nodes.second, edge.url], PROFILE) as watch,
        ):
            watch.more_rounds()
            assert rotate()["step"] == "add"
            missing = rotate(code=2)["refused"]
            assert nodes.second in missing
            assert edge.url in missing
            assert nodes.url not in missing
            nodes.hand_over("service-2")
            missing = rotate(code=2)["refused"]
            assert edge.url in missing
            assert nodes.second not in missing
            nodes.hand_over(ring)
            watch.more_rounds()
            assert watch.key_ids == {"d1"}
            promoted = rotate()
            assert promoted["step"] == "promote"
            assert nodes.second in promoted["note"]  # it still signs with the old one
            watch.more_rounds(10)
            assert watch.key_ids == {"d1", "d2"}
            assert nodes.second in rotate(code=2)["refused"]
            for other in ("service-2", ring):
                nodes.hand_over(other)
            watch.more_rounds(10)
            assert rotate(code=2)["not_before"]
            time.sleep(2 * LIFE_S)  # the second service kept answers, and gave none of them longer than that
            watch.more_rounds()
            in_the_past(folder, timedelta(days=4))
            assert rotate()["done"]
            watch.more_rounds(10)
            for other in (ring, "service-2"):
                nodes.hand_over(other)
                watch.more_rounds(10)
            assert watch.fetched > 100
        assert httpx.get(f"{edge.url}/purge").status_code == 404


def test_seal_keys_go_to_the_workers_before_anything_is_sealed_to_them(nodes):
    environment = nodes.without_keys(nodes.as_role("operator"))
    folders = "--folder", str(nodes.secrets["worker"]), "--public-folder", str(nodes.secrets["service"])
    worker = f"http://127.0.0.1:{nodes.environment['NIGHTLIGHT_WORKER_HEALTH_PORT']}"
    named = [part for address in (nodes.url, nodes.second, worker) for part in ("--process", address)]

    def sealed_to(image_id):
        with nodes.catalogue.reading() as tx:
            return tx.connection.scalar(select(images.c.sealed_key).where(images.c.image_id == image_id))[:2]

    with nodes.client() as client, UrlWatcher([client], [nodes.url], PROFILE) as watch:
        before = upload(client, "sealed-before", seed=11)
        assert sealed_to(before) == "s1"
        assert rotated(environment, "seal", *folders, *named)["step"] == "add"
        assert sealed_to(upload(client, "sealed-meanwhile", seed=12)) == "s1"
        assert rotated(environment, "seal", *folders, *named, "--wait", "10")["step"] == "promote"
        refused = rotated(environment, "seal", *folders, *named, "--wait", "3", code=2)["refused"]
        assert nodes.second in refused
        assert worker in refused  # it seals what it imports
        for other in ("service-2", "worker"):
            nodes.hand_over(other, "nightlight_store_seal_public_key")
        eventually(lambda: sealed_to(upload(client, f"sealed-{time.time():.0f}", seed=13)) == "s2")
        # What was sealed before opens as it did.
        again = ["rerender", "--profile", "sealed-before", "--wait-s", "120"]
        assert run_command(again, nodes.as_role("operator")).returncode == 0
        retired = rotated(environment, "seal", *folders, *named)
        assert (retired["step"], list(retired["keys"].values())) == ("retire", ["current", "kept for reading"])
        watch.more_rounds()
