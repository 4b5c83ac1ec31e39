"""A database that is restored from a backup under running processes: it is noticed, mended by command, and shows nothing
that must not be shown, at any moment.

The backup is a real `pg_dump`. Since then one profile was erased, one revoked, one declared younger, and one came. The
buckets are not restored.
"""

import json
import subprocess
import threading
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from nightlight.retention.erasure_receipt import chain_faults, open_receipt
from nightlight_client import NightlightError, Problem
from nightlight_core.policy.public_keys import PublicKeys
from tests.support import pictures
from tests.support.buckets import infra_buckets
from tests.support.command import run_command
from tests.support.objects import all_keys
from tests.support.services import S3_WORKER, identity
from tests.support.stacks import Scale
from tests.support.waiting import eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]
KEPT, ERASED, REVOKED, YOUNGER, LATE = "kept", "erased", "revoked", "younger", "late"
EARLY = (KEPT, ERASED, REVOKED, YOUNGER)


@pytest.fixture(scope="module")
def scale(tmp_path_factory):
    settings = {"NIGHTLIGHT_RETENTION_PROVE_AGAIN_S": "1"}
    with Scale(tmp_path_factory.mktemp("restore"), **settings) as started:
        yield started


def postgres(program, *arguments):
    """Run one of PostgreSQL's programs, of the newest release that is installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    done = subprocess.run([folders[-1] / program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def restored(scale, dump):
    """Put the backup in the place of the database, under the processes that use it."""
    url = make_url(scale.environment["NIGHTLIGHT_CATALOGUE_URL"])
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false"))
        connection.execute(text(f"DROP DATABASE {url.database} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {url.database} TEMPLATE template0 ALLOW_CONNECTIONS true"))
    admin.dispose()
    postgres("pg_restore", "--exit-on-error", f"--dbname={plain(url)}", dump)


def plain(url):
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def marker(scale):
    """What the schedule wrote last beside the renditions."""
    worker = infra_buckets.client(scale.buckets.endpoint, *identity(S3_WORKER))
    got = worker.get_object(Bucket=scale.buckets.renditions, Key="c/position.json")
    return json.loads(got["Body"].read())


def is_marked(scale):
    """Say whether everything that was done so far is behind the marker."""
    with scale.catalogue.reading() as tx:
        last = tx.audit.last()
    return "c/position.json" in set(all_keys(scale)) and marker(scale)["audit"] >= last


def nightlight(scale, *arguments):
    """Run a command as who owns the tables, with the store's rights of a worker."""
    key, secret = identity(S3_WORKER)
    credentials = {"NIGHTLIGHT_STORE_ACCESS_KEY_ID": key, "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret}
    return run_command(arguments, {**scale.environment, **credentials})


def paths(client, profiles=(*EARLY, LATE)):
    decisions = client.decide("peer", "profile", [(profile, "self") for profile in profiles])
    return {profile: decision.url.split("?")[0] for profile, decision in zip(profiles, decisions, strict=True)}


class Looker(threading.Thread):
    """Asks for every profile again and again, and keeps each answer, with its picture where there is one."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client, self.stop, self.seen = client, threading.Event(), []

    def run(self):
        while not self.stop.wait(0.05):
            try:
                decisions = self.client.decide("peer", "profile", [(name, "stranger") for name in (*EARLY, LATE)])
            except (NightlightError, RuntimeError):  # at the end, the client is closed
                continue
            for name, decision in zip((*EARLY, LATE), decisions, strict=True):
                self.seen.append((name, decision.url.split("?")[0]))


def test_a_restored_database_is_noticed_mended_by_command_and_shows_nobody_what_it_must_not(scale, tmp_path):  # noqa: PLR0915 - one story
    with scale.client() as client:
        for number, name in enumerate(EARLY):
            band = "adult" if name == YOUNGER else "age_16_17"
            client.declare(name, band=band, assurance="verified", region="eu", choice="everyone")
            assert client.wait(client.upload(name, pictures.jpeg(seed=number)).image_id).state == "ready"
        before = eventually(lambda: (now := paths(client, EARLY)) and len(set(now.values())) == len(EARLY) and now)
        strange_before = looked(client, YOUNGER)
        eventually(lambda: is_marked(scale))
        postgres(
            "pg_dump",
            "--format=custom",
            f"--file={tmp_path / 'backup'}",
            plain(scale.environment["NIGHTLIGHT_CATALOGUE_URL"]),
        )

        # Since the backup.
        client.delete_profile(ERASED)
        client.revoke(REVOKED)
        client.declare(YOUNGER, band="age_13_15", assurance="verified", region="eu", choice="connections")
        client.declare(LATE, band="adult", assurance="verified", region="eu", choice="everyone")
        assert client.wait(client.upload(LATE, pictures.jpeg(seed=9)).image_id).state == "ready"
        placeholder = paths(client, ["nobody-at-all"])["nobody-at-all"]
        eventually(lambda: paths(client)[REVOKED] not in {before[REVOKED], placeholder})
        eventually(lambda: profile_is_gone(scale, ERASED))
        since = paths(client)
        late_url = client.decide("peer", "profile", [(LATE, "self")])[0].url
        eventually(lambda: looked(client, YOUNGER) not in {strange_before, placeholder})
        exported = nightlight(scale, "receipt", "export", "--out", tmp_path / "receipts.jsonl")
        assert exported.returncode == 0, exported.stderr
        eventually(lambda: is_marked(scale))

        looker = Looker(client)
        restored(scale, tmp_path / "backup")
        looker.start()
        eventually(lambda: {position(url) for url in processes(scale)} == {"catalogue_restored"})
        eventually(lambda: set(paths(client).values()) == {placeholder})
        for change in (
            lambda: client.declare("new", band="adult", assurance="verified", region="eu"),
            lambda: client.upload(KEPT, pictures.jpeg(seed=20)),
        ):
            with pytest.raises(Problem) as refused:
                change()
            assert (refused.value.status, refused.value.code) == (503, "catalogue_restored")
        done = nightlight(scale, "catalogue", "resume")
        assert (done.returncode, "nothing to resume" in done.stderr) == (1, True), done.stderr

        files = "--receipts", tmp_path / "receipts.jsonl", "--keys", scale.folder / "keys/receipts.jwks.json"
        done = nightlight(scale, "catalogue", "purge-restored", *files, "--yes", "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        mended = json.loads(done.stdout)
        assert (mended["profiles"], mended["receipts_missing"], mended["lost"]) == (1, False, [])
        assert mended["receipts"] >= 2
        assert mended["missing"] >= 1  # the revoked one has other names by now
        assert mended["unknown"] >= 5  # the one that came, and those names
        eventually(lambda: position(scale.url) == "catalogue_restored")
        assert set(paths(client).values()) == {placeholder}

        # What the platform replays is taken, and shown to nobody yet.
        eventually(lambda: declared(client, YOUNGER))
        assert set(paths(client).values()) == {placeholder}
        done = nightlight(scale, "catalogue", "resume")
        assert done.returncode == 0, done.stderr
        eventually(lambda: httpx.get(f"{scale.url}/readyz").status_code == 200)
        now = eventually(
            lambda: (seen := paths(client)) and placeholder not in {seen[KEPT], seen[REVOKED], seen[YOUNGER]} and seen
        )
        looker.stop.set()
        looker.join()

        assert now[KEPT] == before[KEPT]  # nothing had become of it
        assert now[REVOKED] not in {before[REVOKED], since[REVOKED]}
        assert (now[ERASED], now[LATE]) == (placeholder, placeholder)
        assert not shows(client, late_url)
        strangers = {name: {path for seen, path in looker.seen if seen == name} for name in (*EARLY, LATE)}
        assert strangers[ERASED] == {placeholder}
        assert strange_before not in strangers[YOUNGER]
        assert before[REVOKED] not in strangers[REVOKED]

        public = PublicKeys.read(scale.folder / "keys/receipts.jwks.json")
        with scale.catalogue.reading() as tx:
            envelopes = [envelope for _, envelope in tx.receipts.after(0, limit=1000)]
        chain = [open_receipt(envelope, public) for envelope in envelopes]
        assert chain_faults(chain) == []
        exported = [json.loads(line) for line in (tmp_path / "receipts.jsonl").read_text().splitlines()]
        assert envelopes[: len(exported)] == exported


def processes(scale):
    ports = (scale.environment[f"NIGHTLIGHT_WORKER_{name}PORT"] for name in ("HEALTH_", "SCHEDULE_HEALTH_"))
    return [scale.url, *(f"http://127.0.0.1:{port}" for port in ports)]


def position(url):
    return httpx.get(f"{url}/readyz").json()["parts"]["position"]


def looked(client, name):
    return client.decide("peer", "profile", [(name, "stranger")])[0].url.split("?")[0]


def profile_is_gone(scale, name):
    with scale.catalogue.reading() as tx:
        return tx.profiles.get(name) is None


def declared(client, name):
    try:
        client.declare(name, band="age_13_15", assurance="verified", region="eu", choice="connections")
    except Problem:
        return False
    return True


def shows(client, url):
    """Say whether a URL gives a picture that is not the placeholder's size."""
    response = client.fetch(url)
    return response.status == 200 and "immutable" in response.headers.get("cache-control", "")
