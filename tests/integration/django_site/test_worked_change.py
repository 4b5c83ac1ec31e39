"""A site with a plain ImageField becomes a protected one by at most twenty lines: docs/recipes/django.patch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
PATCH = ROOT / "docs/recipes/django.patch"

# What the changed site is asked, in a process of its own.
PROGRAM = """
import django; django.setup()
from django.core.management import call_command
from django.test import Client
from django.core.files.base import ContentFile
from nightlight_client.testing.flat_picture import flat_picture
from nightlight_django.testing import use_fake
call_command("makemigrations", "people", verbosity=0)
call_command("migrate", verbosity=0)
call_command("check", "--fail-level", "WARNING")
from people.models import Person
with use_fake() as fake:
    mia = Person(username="mia", born=2015, picture=ContentFile(flat_picture(64, b"abc"), "m.png")); mia.save()
    for number in range(20):
        Person.objects.create(username=str(number))
    friend = Person.objects.create(username="friend"); friend.friends.add(mia)
    fake.calls.clear()
    browser = Client(); browser.force_login(friend)
    page = browser.get("/").content.decode()
    assert list(fake.calls) == [("POST", "/v1/decisions")], fake.calls
    assert page.count("<img") == 22
    assert fake.profiles[str(mia.pk)].band == "under_13"
    import os; assert not os.path.exists("media")
print("protected")
"""


def test_the_change_is_at_most_twenty_lines():
    lines = [
        line for line in PATCH.read_text().splitlines() if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}
    ]
    assert len(lines) <= 20


def test_the_changed_site_is_protected(tmp_path):
    site = tmp_path / "site"
    shutil.copytree(ROOT / "tests/support/plain_django_site", site, ignore=shutil.ignore_patterns("__pycache__"))
    (site / "nightlight-token").write_text("token")
    (site / "nightlight-keys").write_text("r1:" + "A" * 43 + "=")
    subprocess.run(
        ["git", "apply", "--unsafe-paths", str(PATCH)],
        cwd=site,
        check=True,
        timeout=HANG_S,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)},
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(site)}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=site,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "protected" in ended.stdout
