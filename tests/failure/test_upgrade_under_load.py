"""A filled database is upgraded, and taken back, while the release before serves: nobody notices.

The release before is today's code. The one to come is today's code with one more migration, which does all that an
expand step may (tests.support.next_migration). So this shows what an expand step does to processes that run, by the real
`migrate`, on a database with rows and under load; it does not show what another release's code would do with it.
"""

import threading

import httpx
import pytest
from sqlalchemy import text

from nightlight.catalogue import migrate
from nightlight.catalogue.schema import images, profiles, renditions
from nightlight.cli.embedded import free_port
from nightlight_client import NightlightError
from tests.support import next_migration, pictures
from tests.support.databases import catalogue_at
from tests.support.services import S3_SERVICE
from tests.support.stacks import LongTimeoutClient, Scale
from tests.support.url_watcher import UrlWatcher
from tests.support.waiting import eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]
PROFILE = "watched"
FILLED = 3_000


class NextRelease(Scale):
    """A deployment whose process named ``service-next`` is of the release to come."""

    def __init__(self, folder):
        self.next_port = free_port()
        self.next_url = f"http://127.0.0.1:{self.next_port}"
        super().__init__(folder)

    def with_keys(self, name, environment):
        port = {"NIGHTLIGHT_SERVICE_PORT": str(self.next_port)} if name == "service-next" else {}
        return {**super().with_keys(name, environment), **port}

    def start_next(self, scripts):
        self._spawn("service-next", S3_SERVICE, "tests.support.next_migration", str(scripts))
        return self.children["service-next"]


@pytest.fixture(scope="module")
def scale(tmp_path_factory):
    with NextRelease(tmp_path_factory.mktemp("upgrade")) as started:
        yield started


class Uploads(threading.Thread):
    """Declares, uploads and waits for the render, again and again. ``problems``: what was not as it should be."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client, self.done, self.problems, self.stop = client, 0, [], threading.Event()

    def run(self):
        while not self.stop.is_set():
            name = f"uploaded-{self.done}"
            try:
                self.client.declare(name, band="age_13_15", assurance="verified", region="eu")
                image = self.client.upload(name, pictures.jpeg(400, 300, seed=self.done))
                if self.client.wait(image.image_id).state != "ready":
                    self.problems.append(f"{name}: not ready")
            except NightlightError as error:
                self.problems.append(f"{name}: {type(error).__name__} {error}")
            self.done += 1


class Ready(threading.Thread):
    """Asks every process of the release before whether it is ready; what was not is in ``problems``."""

    def __init__(self, addresses):
        super().__init__(daemon=True)
        self.addresses, self.problems, self.asked, self.stop = addresses, [], 0, threading.Event()

    def run(self):
        while not self.stop.wait(0.2):
            for address in self.addresses:
                answer = httpx.get(f"{address}/readyz", timeout=120)
                self.asked += 1
                if answer.status_code != 200:
                    self.problems.append(f"{address}: {answer.text}")


def fill(connection):
    """Write profiles with images and renditions, as many as FILLED: copies of one that there is."""
    image_id = connection.scalar(text("SELECT image_id FROM images LIMIT 1"))
    for table, own in (
        (profiles, {"profile_id": "'filled-' || n", "current_image_id": "NULL"}),
        (images, {"image_id": "lpad(n::text, 32, '0')", "profile_id": "'filled-' || n", "original_key": "'o/' || n"}),
        (renditions, {"image_id": "lpad(n::text, 32, '0')", "name": "'filled' || n || tier", "watermark": "NULL"}),
    ):
        columns = [
            column.name for column in table.columns if column.autoincrement is not True or not column.primary_key
        ]
        chosen = ", ".join(own.get(name, f'"{name}"') for name in columns)
        named = ", ".join(f'"{name}"' for name in columns)
        where = f"profile_id = '{PROFILE}'" if table is profiles else f"image_id = '{image_id}'"
        connection.execute(
            text(f"INSERT INTO {table.name} ({named}) SELECT {chosen} FROM {table.name}, generate_series(1, {FILLED}) n "
                 f"WHERE {where}")
        )  # fmt: skip


def test_the_release_before_serves_on_while_the_next_one_upgrades_comes_and_goes(scale, tmp_path, monkeypatch):
    today = migrate._SCRIPTS
    scripts = next_migration.scripts_with(tmp_path)
    ports = [scale.environment[f"NIGHTLIGHT_WORKER_{name}HEALTH_PORT"] for name in ("", "SCHEDULE_")]
    owner = scale.environment["NIGHTLIGHT_CATALOGUE_URL"]
    with scale.client() as client, scale.client() as uploader, catalogue_at(owner) as catalogue:
        client.declare(PROFILE, band="adult", assurance="verified", region="eu", choice="connections")
        assert client.wait(client.upload(PROFILE, pictures.jpeg(700, 700)).image_id).state == "ready"
        with catalogue.engine.begin() as connection:
            fill(connection)
        uploads = Uploads(uploader)
        ready = Ready([scale.url, *(f"http://127.0.0.1:{port}" for port in ports)])
        uploads.start()
        ready.start()
        with UrlWatcher([client], [scale.url], PROFILE) as watch:
            watch.more_rounds()
            monkeypatch.setattr(migrate, "_SCRIPTS", scripts)
            migrate.upgrade(catalogue.engine)
            with catalogue.engine.connect() as connection:
                assert migrate.revision_of(connection) == "9001"
                filled = text("SELECT count(*) FROM profiles WHERE noted = 1")
                assert connection.scalar(filled) >= FILLED  # in batches, beside everything else
            watch.more_rounds(10)
            # The next release's service beside it, on the same database.
            service = scale.start_next(scripts)
            eventually(lambda: answers(scale.next_url, service))
            with next_client(scale) as after, UrlWatcher([client, after], [scale.url, scale.next_url], PROFILE) as both:
                both.more_rounds(10)
            service.terminate()
            service.wait(60)
            done = uploads.done
            assert migrate.downgrade(catalogue.engine) == max(
                path.name.partition("_")[0] for path in (today / "versions").glob("[0-9]*_*.py")
            )
            eventually(lambda: uploads.done > done + 1)
            watch.more_rounds(10)
        for thread in (uploads, ready):
            thread.stop.set()
        uploads.join(120)
        assert uploads.problems == []
        assert ready.problems == []
        assert ready.asked > 10
        monkeypatch.setattr(migrate, "_SCRIPTS", today)
        migrate.check_current(catalogue.engine)


def answers(url, child):
    assert child.poll() is None
    try:
        return httpx.get(f"{url}/readyz", timeout=60).status_code == 200
    except httpx.HTTPError:
        return False


def next_client(scale):
    from nightlight.cli import key_commands

    return LongTimeoutClient(
        scale.next_url,
        token=lambda: key_commands.token(scale.folder, scopes=None, subject="tests", hours=1),
        relation_keys=key_commands.relation_keys(scale.folder),
        viewer_id="somebody",
        budget_s=300,
    )


def test_a_release_to_come_does_not_start_before_the_upgrade(scale, tmp_path):
    service = scale.start_next(next_migration.scripts_with(tmp_path))
    assert service.wait(120) == 2
    assert "9001 is needed" in scale.logs("service-next")
