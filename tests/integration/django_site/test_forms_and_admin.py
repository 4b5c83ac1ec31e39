"""Forms say why a picture is refused; the admin shows what its operator may see."""

import pytest
from django.test import Client
from django.utils.html import escape

from nightlight_client.testing.fake_profiles import READY
from nightlight_django.models import UploadedPicture
from tests.support.django_pictures import PNG, picture, upload
from tests.support.django_site.models import Member

pytestmark = pytest.mark.integration


@pytest.fixture
def browser(member):
    ada = member("ada", "age_13_15", is_staff=True, is_superuser=True)
    signed_in = Client()
    signed_in.force_login(ada)
    return signed_in


def live(fake):
    return [image for image in fake.images.values() if image.state == READY]


def test_a_form_uploads(browser, django_nightlight):
    assert browser.post("/me/", {"first_name": "Ada", "picture": upload()}).status_code == 302
    assert len(live(django_nightlight)) == 1


@pytest.mark.parametrize("data", [b"<svg onload=alert(1)>", b"GIF", b"MZ" + PNG])
def test_what_is_no_picture_is_refused_before_it_is_sent(browser, django_nightlight, data):
    page = browser.post("/me/", {"picture": upload(data)})
    assert "no picture that can be used" in page.content.decode()
    assert ("POST", f"/v1/profiles/{Member.objects.get().pk}/image") not in django_nightlight.calls


def test_what_is_too_large_is_refused_before_it_is_read(browser, monkeypatch):
    from nightlight_django import conf

    monkeypatch.setattr(conf, "MAX_UPLOAD_BYTES", 10)
    conf.configuration.cache_clear()
    assert "too large" in browser.post("/me/", {"picture": upload()}).content.decode()


def test_what_the_service_refuses_is_an_error_of_the_form_in_its_words(browser, django_nightlight):
    # JPEG XL: the form takes it, and this service does not.
    page = browser.post("/me/", {"first_name": "Ada", "picture": upload(b"\xff\x0a" + bytes(64))})
    refused = UploadedPicture.objects.get()
    assert page.status_code == 200
    assert refused.state == "refused"
    assert escape(refused.reason) in page.content.decode()
    assert Member.objects.get().picture.name == ""


def test_the_box_to_clear_erases(browser, django_nightlight):
    browser.post("/me/", {"picture": upload()})
    browser.post("/me/", {"picture-clear": "on"})
    assert live(django_nightlight) == []


def test_the_admin_shows_a_decision_and_the_state_and_never_an_original(browser, member, django_nightlight):
    mia = member("mia", "under_13", picture())
    page = browser.get(f"/admin/django_site/member/{mia.pk}/change/").content.decode()
    row = UploadedPicture.objects.get(profile_id=str(mia.pk))
    assert page.count('class="nightlight-picture"') == 2  # the widget's and the field's
    assert "<p>being rendered</p>" in page
    assert f"/admin/nightlight_django/uploadedpicture/{row.key}/delete/" in page
    assert "under_13" not in page


def test_the_admins_link_erases(browser, member, django_nightlight):
    mia = member("mia", "adult", picture())
    row = UploadedPicture.objects.get()
    assert browser.get(f"/admin/nightlight_django/uploadedpicture/{row.key}/delete/").status_code == 200
    browser.post(f"/admin/nightlight_django/uploadedpicture/{row.key}/delete/", {"post": "yes"})
    assert live(django_nightlight) == []
    assert Member.objects.get(pk=mia.pk).picture.name == ""


def test_the_admins_list_asks_once_and_erases_what_is_chosen(browser, member, django_nightlight):
    for number in range(5):
        member(f"m{number}", picture=picture())
    django_nightlight.calls.clear()
    page = browser.get("/admin/nightlight_django/uploadedpicture/")
    assert page.content.decode().count("data-blurhash") == 5
    assert list(django_nightlight.calls) == [("POST", "/v1/decisions")]
    keys = list(UploadedPicture.objects.values_list("key", flat=True))
    browser.post(
        "/admin/nightlight_django/uploadedpicture/",
        {"action": "delete_selected", "_selected_action": keys, "post": "yes"},
    )
    assert live(django_nightlight) == []


def test_nobody_adds_or_changes_rows_or_calls_erasures_off(browser, member):
    member("mia", picture=picture())
    row = UploadedPicture.objects.get()
    assert browser.get("/admin/nightlight_django/uploadedpicture/add/").status_code == 403
    assert (
        browser.post(f"/admin/nightlight_django/uploadedpicture/{row.key}/change/", {"state": "ready"}).status_code
        == 403
    )
    assert browser.get("/admin/nightlight_django/unsenterasure/").status_code == 200


def test_the_refusal_of_the_last_picture_is_shown_in_the_admin_escaped(browser, member):
    mia = member("mia", picture=picture())
    UploadedPicture.objects.update(state="rejected", reason="<b>because</b>")
    page = browser.get(f"/admin/django_site/member/{mia.pk}/change/").content.decode()
    assert "<p>&lt;b&gt;because&lt;/b&gt;</p>" in page
