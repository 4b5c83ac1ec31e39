"""The applications of docs/adopt.md, exactly as they stand there: by their own tests, and against a running Nightlight."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from nightlight.cli import key_commands
from nightlight.cli.embedded import free_port
from tests.support import node, pictures
from tests.support.stacks import ROOT
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]
RECIPES = ROOT / "docs/recipes"
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "nightlight_client.testing.pytest_plugin"]
# As a server that forks does it: the application is made, and has asked its `check`, before its processes are.
FORKING = "import os; from app import create_app; from werkzeug.serving import run_simple as run; run('127.0.0.1', int(os.environ['PORT']), create_app(), processes=4)"
SERVED = {
    "fastapi": lambda port: [sys.executable, "-m", "uvicorn", "--factory", "app:from_environment", "--port", port],
    "flask": lambda _: [sys.executable, "-c", FORKING],
    "express": lambda _: ["node", "app.mjs", "serve"],
}
FORMS = {"fastapi": True, "flask": True, "express": False}


@pytest.fixture(params=sorted(SERVED))
def recipe(request, tmp_path):
    """(Its name, a folder with its files, where what it imports is installed)."""
    name, folder = request.param, tmp_path / request.param
    shutil.copytree(RECIPES / name, folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    if name == "express":
        request.getfixturevalue("built")
        shutil.copy(RECIPES / "fake_server.py", folder)
        (folder / "node_modules").mkdir()
        (folder / "node_modules/express").symlink_to(node.CLIENT / "node_modules/express")
        (folder / "node_modules/nightlight-client").symlink_to(node.CLIENT)
    return name, folder


@pytest.fixture
def environment(embedded_stack):
    return {
        "NIGHTLIGHT_URL": embedded_stack.url,
        "NIGHTLIGHT_TOKEN": key_commands.token(embedded_stack.folder, scopes=None, subject="recipe", hours=12),
        "NIGHTLIGHT_RELATIONS_KEYS": embedded_stack.environment["NIGHTLIGHT_RELATIONS_KEYS"],
        "PORT": str(free_port()),
    }


@contextmanager
def serving(name, folder, environment):
    """The application as its page says to start it; its URL."""
    url = f"http://127.0.0.1:{environment['PORT']}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            SERVED[name](environment["PORT"]), cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log
        )

        def answers():
            assert process.poll() is None, (folder / "log").read_text()
            try:
                return httpx.get(f"{url}/people", headers={"X-User": "nobody"}).status_code == 401
            except httpx.TransportError:
                return None

        try:
            eventually(answers)
            yield url
        finally:
            process.terminate()
            process.wait(HANG_S)


def test_its_own_tests_pass_with_the_fake_alone(recipe):
    name, folder = recipe
    if name == "express":
        assert node.passed(node.run(["node", "--test", "app.test.mjs"], folder, PYTHON=sys.executable)) == 3
    else:
        output = node.run([*PYTEST, "test_app.py"], folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
        assert "3 passed" in output


def test_against_a_nightlight_a_friend_sees_more_than_a_stranger(recipe, environment, embedded_stack):
    name, folder = recipe
    picture = pictures.photograph("astronaut.png")
    with embedded_stack.client() as client:
        for profile in ("ada", "ben", "eve"):
            client.declare(profile, band="age_13_15", assurance="verified", region="eu")
        with serving(name, folder, environment) as url, httpx.Client(base_url=url, timeout=HANG_S) as web:

            def upload(content):
                how = {"files": {"file": content}} if FORMS[name] else {"content": content}
                return web.put("/me/picture", headers={"X-User": "ada"}, **how)

            def shown(viewer):
                people = web.get("/people", headers={"X-User": viewer}).raise_for_status().json()
                return [httpx.get(person["picture"]).raise_for_status().content for person in people]

            refused = upload(b"no picture")
            assert (refused.status_code, "not a picture" in refused.json()["detail"]) == (415, True)
            accepted = upload(picture)
            assert accepted.status_code == 202
            assert client.wait(accepted.json()["image_id"], timeout_s=HANG_S).state == "ready"
            own, friend, stranger = (eventually(lambda who=who: shown(who)) for who in ("ada", "ben", "eve"))
            assert len(own[0]) > len(friend[0]) > len(stranger[0])
            assert own[1:] == friend[1:] == stranger[1:]
            assert own[1] == own[2] != stranger[0]
            # Many at once, whatever serves them: each gets the answer to its own question.
            with ThreadPoolExecutor(8) as pool:
                viewers = ["ben", "eve"] * 12
                pages = list(pool.map(shown, viewers))
            assert pages == [friend if viewer == "ben" else stranger for viewer in viewers]


def test_a_wrong_token_ends_the_start(recipe, environment):
    name, folder = recipe
    wrong = {**os.environ, **environment, "NIGHTLIGHT_TOKEN": "wrong"}
    ended = subprocess.run(
        SERVED[name](environment["PORT"]),
        cwd=folder,
        env=wrong,
        capture_output=True,
        timeout=HANG_S,
        check=False,
        text=True,
    )
    assert ended.returncode != 0
    assert "401 unauthenticated" in ended.stderr + ended.stdout
