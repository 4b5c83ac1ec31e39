"""The site beside a whole running Nightlight: real pictures, real renditions, the settings as a site has them."""

import io
import re

import httpx
import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import Client, override_settings
from PIL import Image

from nightlight.cli import key_commands
from nightlight_client.requests.decisions import placeholder_url
from nightlight_django.models import UnsentErasure, UploadedPicture
from tests.support.django_pictures import upload
from tests.support.django_site.models import Member
from tests.support.pictures import jpeg
from tests.support.stacks import Embedded
from tests.support.waiting import HANG_S, eventually

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def nightlight(tmp_path_factory):
    with Embedded(tmp_path_factory.mktemp("django")) as started:
        yield started


@pytest.fixture
def site(nightlight, tmp_path):
    """The site's settings: a token in a file, keys as the ring's text, as `nightlight serve` has them."""
    token = tmp_path / "token"
    token.write_text(key_commands.token(nightlight.folder, scopes=["decide", "ingest"], subject="site", hours=1) + "\n")
    ring = nightlight.environment["NIGHTLIGHT_RELATIONS_KEYS"]
    values = {name: value for name, value in settings.NIGHTLIGHT.items() if name not in {"TOKEN", "RELATION_KEYS"}}
    values |= {"URL": nightlight.url, "TOKEN_FILE": str(token), "RELATION_KEYS": ring, "BUDGET_S": HANG_S}
    with override_settings(NIGHTLIGHT=values):
        yield values


def signed_in(member):
    browser = Client()
    browser.force_login(member)
    return browser


def sides(browser):
    """The longest side of each picture on the page, as the viewer's browser fetches it."""
    page = browser.get("/members/").content.decode()
    urls = [url.replace("&amp;", "&") for url in re.findall(r'<li><img src="([^"]+)"', page)]
    return [max(Image.open(io.BytesIO(httpx.get(url).raise_for_status().content)).size) for url in urls]


def test_a_form_to_a_rendered_picture_to_its_erasure(site, database):
    assert run_checks(tags=["nightlight"], include_deployment_checks=True) == []
    mia, finn, stan = (
        Member.objects.create_user(name, password="x", age_band=band)
        for name, band in (("mia", "age_13_15"), ("finn", "age_13_15"), ("stan", "adult"))
    )
    finn.friends.add(mia)
    sent = signed_in(mia).post("/me/", {"first_name": "Mia", "picture": upload(jpeg(640, 640), "me.jpg")})
    assert sent.status_code == 302

    def ready():
        call_command("nightlight_sync", verbosity=0)
        state = UploadedPicture.objects.get().state
        assert state in {"pending", "ready"}
        return state == "ready"

    eventually(ready)
    of_mia = [sides(browser)[0] for browser in (signed_in(mia), signed_in(finn), signed_in(stan), Client())]
    assert of_mia[0] >= of_mia[1] > of_mia[2] >= min(of_mia[2:])

    broken = jpeg(640, 640)[:20]  # begins like a picture: the form takes it, the service does not
    page = signed_in(mia).post("/me/", {"first_name": "Mia", "picture": upload(broken, "me.jpg")})
    refused = UploadedPicture.objects.filter(state="refused").get()
    assert page.status_code == 200
    assert refused.reason in page.content.decode()
    assert sides(signed_in(mia))[0] == of_mia[0]  # the picture before it stays

    Member.objects.get(pk=mia.pk).delete()
    assert (UnsentErasure.objects.count(), UploadedPicture.objects.count()) == (0, 0)


def test_a_wrong_token_is_said_by_the_check_and_a_service_that_is_away_shows_placeholders(site, database, tmp_path):
    Member.objects.create_user("ada", password="x", age_band="adult")
    with override_settings(NIGHTLIGHT={**site, "TOKEN_FILE": None, "TOKEN": "nonsense"}):
        assert [message.id for message in run_checks(tags=["nightlight"], include_deployment_checks=True)] == [
            "nightlight.E010"
        ]
    with override_settings(NIGHTLIGHT={**site, "URL": "http://127.0.0.1:9", "BUDGET_S": 0.2}):
        assert placeholder_url() in Client().get("/members/").content.decode()
