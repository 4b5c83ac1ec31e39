"""A bucket of thousands of objects (ten, where it may be slow), whose walk is killed twice: every object is queued once, and done once."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from nightlight.catalogue.retention_schema import import_items, imports
from nightlight.catalogue.schema import images, jobs, outbox, profiles
from tests.conftest import ROOT
from tests.integration.imports.conftest import bucket_of_pictures
from tests.support import pictures
from tests.support.databases import catalogue_at, postgres_database
from tests.support.services import S3, S3_OWNER, identity, needed
from tests.support.stacks import LONG_TIMEOUTS, Scale
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]
SLOW = bool(os.environ.get("NIGHTLIGHT_TEST_SLOW"))
OBJECTS = int(os.environ.get("NIGHTLIGHT_TEST_BACKFILL", "10000" if SLOW else "3000"))
FORM = "users/{profile}/face.jpg"
# Keys of another form, on every page of the listing.
LEFT_OUT = 70


@pytest.fixture(scope="module")
def avatars():
    """Small pictures, of four kinds, and some keys of another form."""
    data = [pictures.jpeg(48, 48, seed=seed) for seed in range(4)]
    with bucket_of_pictures() as (name, s3), ThreadPoolExecutor(12) as threads:
        keys = [(f"users/u-{number:05}/face.jpg", data[number % 4]) for number in range(OBJECTS)]
        keys += [(f"users/u-{number * OBJECTS // LEFT_OUT:05}.txt", b"x") for number in range(LEFT_OUT)]
        list(threads.map(lambda pair: s3.put_object(Bucket=name, Key=pair[0], Body=pair[1]), keys))
        yield name


def environment(name, database, **more):
    key, secret = identity(S3_OWNER)
    return {
        **{variable: value for variable, value in os.environ.items() if not variable.startswith("NIGHTLIGHT_")},
        **LONG_TIMEOUTS,
        "NIGHTLIGHT_CATALOGUE_URL": database,
        "NIGHTLIGHT_STORE_KIND": "s3",
        "NIGHTLIGHT_STORE_ENDPOINT_URL": needed(S3),
        "NIGHTLIGHT_STORE_ACCESS_KEY_ID": key,
        "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret,
        **more,
    }


def backfill(name, variables, *more):
    command = [
        sys.executable,
        "-c",
        "from nightlight.cli import main; main()",
        "backfill",
        f"s3://{name}/users/",
        "--keys",
        FORM,
        *more,
    ]
    return subprocess.Popen(command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def count(catalogue, *where):
    with catalogue.reading() as tx:
        return tx.connection.execute(select(func.count()).where(*where)).scalar_one()


def test_killed_twice_and_called_again_it_queues_every_object_once(avatars, tmp_path, record_property):
    file = tmp_path / "left.jsonl"
    with postgres_database() as database, catalogue_at(database) as catalogue:
        variables = environment(avatars, database)
        for ahead in (1, OBJECTS // 2):
            # Nobody takes what is queued, so it stops there and waits, to be killed.
            child = backfill(avatars, variables, "--no-wait", "--ahead", str(ahead), "--unmatched", str(file))
            eventually(lambda ahead=ahead: count(catalogue, import_items.c.state == "queued") > ahead)
            child.kill()
            child.communicate()
        assert 0 < count(catalogue, import_items.c.state == "queued") < OBJECTS
        begin = time.monotonic()
        child = backfill(avatars, variables, "--no-wait", "--json")
        out, _ = child.communicate(timeout=HANG_S)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert len({line["key"] for line in lines}) == len(lines) == LEFT_OUT
        assert json.loads(out)["left_out"]["reasons"] == {"other_form": LEFT_OUT}
        record_property("seconds", time.monotonic() - begin)
        assert child.returncode == 0, out
        with catalogue.reading() as tx:
            (walk,) = tx.imports.walks(limit=9)
        assert (walk.keys_found, walk.queued, walk.known, walk.unmatched) == (OBJECTS + LEFT_OUT, OBJECTS, 0, LEFT_OUT)
        assert count(catalogue, import_items.c.item_id.is_not(None)) == OBJECTS
        assert count(catalogue, jobs.c.kind == "import") == OBJECTS
        assert count(catalogue, outbox.c.task == "nightlight.import") == OBJECTS
        with catalogue.reading() as tx:
            assert tx.connection.execute(select(func.count(import_items.c.key.distinct()))).scalar_one() == OBJECTS
        child = backfill(avatars, variables, "--no-wait")  # once more from the beginning: all of it is known
        out, _ = child.communicate(timeout=HANG_S)
        assert f"0 queued (), {OBJECTS:,} known before" in out
        assert count(catalogue, imports.c.state == "listed") == 2


@pytest.mark.skipif(OBJECTS > 1000 and not SLOW, reason="`make backfill` runs it: some minutes")
def test_interrupted_and_called_again_every_object_is_shown_once(avatars, tmp_path):
    """The whole way: listed, taken, rendered and shown, by real workers."""
    key, secret = identity(S3_OWNER)
    settings = {
        "NIGHTLIGHT_SOURCE_ENDPOINT_URL": needed(S3),
        "NIGHTLIGHT_SOURCE_ACCESS_KEY_ID": key,
        "NIGHTLIGHT_SOURCE_SECRET_ACCESS_KEY": secret,
        "NIGHTLIGHT_LOG_LEVEL": "error",
        "NIGHTLIGHT_WORKER_BACKGROUND": "2",
    }
    with Scale(tmp_path, **settings) as stack:
        variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("NIGHTLIGHT_")},
            **stack.as_role("operator"), "NIGHTLIGHT_STORE_ACCESS_KEY_ID": key, "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret,
        }  # fmt: skip
        child = backfill(avatars, variables, "--ahead", "500")
        eventually(lambda: count(stack.catalogue, images.c.state == "ready") > OBJECTS // 20, seconds=600)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=HANG_S)
        stack.children["worker"].kill()  # and the workers with it
        stack.children["worker"].wait()
        stack.start_worker()
        child = backfill(avatars, variables, "--ahead", "500")
        out, err = child.communicate(timeout=3000)
        assert child.returncode == 0, err
        assert f"{OBJECTS:,} queued ({OBJECTS:,} taken)" in out
        eventually(lambda: count(stack.catalogue, images.c.state == "ready") == OBJECTS, seconds=1800)
        shown = select(func.count()).select_from(profiles).where(profiles.c.current_image_id.is_not(None))
        with stack.catalogue.reading() as tx:
            assert tx.connection.execute(shown).scalar_one() == OBJECTS
        assert count(stack.catalogue, images.c.state.not_in(("ready", "receiving", "deleted"))) == 0


def test_killed_at_any_moment_it_leaves_out_each_key_once(avatars, tmp_path):
    """At moments that nobody chose: while it starts, lists, writes its file, or commits."""
    file = tmp_path / "left.jsonl"
    with postgres_database() as database, catalogue_at(database) as catalogue:
        variables = environment(avatars, database)
        arguments = ("--no-wait", "--rate", "800", "--unmatched", str(file))
        # The first one begins its walk; each later one is killed a little later after its start than the one before.
        for seconds in (4.0, 5.1, 6.3, 7.0):
            child = backfill(avatars, variables, *arguments)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(seconds)
            child.kill()
            child.communicate()
        child = backfill(avatars, variables, "--no-wait", "--unmatched", str(file))
        _, err = child.communicate(timeout=HANG_S)
        assert child.returncode == 0, err
        keys = [json.loads(line)["key"] for line in file.read_text().splitlines()]
        assert len(set(keys)) == len(keys) == LEFT_OUT
        assert count(catalogue, jobs.c.kind == "import") == OBJECTS
        assert count(catalogue, import_items.c.state == "queued") == OBJECTS
