"""Uploads and erasures: sent after the commit, retried by the command, and nothing on the site's own storage."""

from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings

from nightlight_client.testing.fake_profiles import DELETED, READY
from nightlight_django.models import UnsentErasure, UploadedPicture
from nightlight_django.storage import NightlightStorage
from tests.support.django_pictures import OTHER, PNG, picture
from tests.support.django_site.models import Club, Member, Page

pytestmark = pytest.mark.integration


def sync():
    """Run the command; return whether it said that nothing waits."""
    try:
        call_command("nightlight_sync", verbosity=0)
    except SystemExit as end:
        return end.code == 0
    return True


def live(fake):
    return {(image.profile_id, image.colour) for image in fake.images.values() if image.state == READY}


def test_a_saved_picture_is_declared_and_uploaded_and_nowhere_else(member, django_nightlight, tmp_path):
    ada = member("ada", "age_13_15", picture())
    key = str(ada.pk)
    assert django_nightlight.profiles[key].band == "age_13_15"
    assert [profile for profile, _ in live(django_nightlight)] == [key]
    row = UploadedPicture.objects.get()
    assert (row.key, row.state, row.content) == (Member.objects.get().picture.name, "pending", None)
    assert sync()
    assert ada.picture.picture.state == "ready"
    assert django_nightlight.uploads.keys() == {(key, row.key)}  # the idempotency key
    assert not Path("me.png").exists()
    assert "age" not in {field.name for field in UploadedPicture._meta.fields}


def test_nothing_is_sent_before_the_commit_and_nothing_after_a_rollback(member, django_nightlight):
    ada = member("ada")
    django_nightlight.calls.clear()
    with transaction.atomic():
        ada.picture = picture()
        ada.save()
        assert list(django_nightlight.calls) == []
    assert len(django_nightlight.calls) == 2
    with pytest.raises(RuntimeError), transaction.atomic():
        ada.picture = picture(OTHER)
        ada.save()
        raise RuntimeError
    assert len(django_nightlight.calls) == 2
    assert len(UploadedPicture.objects.all()) == 1


def test_saving_again_sends_nothing_again(member, django_nightlight):
    ada = member("ada", picture=picture())
    django_nightlight.calls.clear()
    ada.first_name = "Ada"
    ada.save()
    Member.objects.get().save()
    assert list(django_nightlight.calls) == []


def test_an_outage_keeps_the_picture_until_the_command_sends_it(member, django_nightlight):
    with django_nightlight.outage():
        ada = member("ada", "adult", picture())
        row = UploadedPicture.objects.get()
        assert (row.state, bytes(row.content)) == ("unsent", PNG)
        assert not sync()
    assert sync()
    row.refresh_from_db()
    assert (row.state, row.content) == ("ready", None)  # asked for at once
    assert [profile for profile, _ in live(django_nightlight)] == [str(ada.pk)]
    assert sync()
    assert len(django_nightlight.images) == 1


def test_a_site_may_keep_no_bytes(member, django_nightlight, settings):
    with override_settings(NIGHTLIGHT={**settings.NIGHTLIGHT, "KEEP_UNSENT": False}), django_nightlight.outage():
        member("ada", picture=picture())
    row = UploadedPicture.objects.get()
    assert (row.state, row.content) == ("lost", None)


def test_a_broken_declare_sends_nothing(member, django_nightlight, settings):
    def broken(_):
        raise KeyError("birth date")

    with override_settings(NIGHTLIGHT={**settings.NIGHTLIGHT, "DECLARE": broken}):
        member("ada", picture=picture())
    assert (UploadedPicture.objects.get().state, list(django_nightlight.calls)) == ("unsent", [])
    assert sync()
    assert len(live(django_nightlight)) == 1


def test_an_upload_that_never_was_sent_is_lost_not_half_there(member, django_nightlight):
    from datetime import timedelta

    ada = member("ada", picture=picture())
    UploadedPicture.objects.update(state="unsent", image_id="")  # the process died after the commit
    row = UploadedPicture.objects.get()
    UploadedPicture.objects.update(created_at=row.created_at - timedelta(hours=1))
    assert sync()
    assert ada.picture.picture.state == "lost"


def test_clearing_the_field_erases(member, django_nightlight):
    ada = member("ada", picture=picture())
    ada.picture = None
    ada.save()
    assert {image.state for image in django_nightlight.images.values()} == {DELETED}
    assert str(ada.pk) in django_nightlight.profiles  # the account goes on
    assert not UploadedPicture.objects.exists()
    ada.picture = picture(OTHER)
    ada.save()
    ada.picture.delete()
    assert live(django_nightlight) == set()
    assert (Member.objects.get().picture.name or "") == ""


def test_clearing_erases_the_earlier_pictures_too(member, django_nightlight):
    ada = member("ada", picture=picture())
    ada.picture = picture(OTHER)
    ada.save()
    ada.picture = ""
    ada.save()
    assert {image.state for image in django_nightlight.images.values()} == {DELETED}


def test_deleting_the_account_erases_the_profile_even_through_an_outage(member, django_nightlight):
    ada = member("ada", picture=picture())
    key = str(ada.pk)
    with django_nightlight.outage():
        ada.delete()
        assert UnsentErasure.objects.count() == 1
        assert not sync()
    assert sync()
    assert key not in django_nightlight.profiles
    assert (UnsentErasure.objects.count(), UploadedPicture.objects.count(), live(django_nightlight)) == (0, 0, set())


def test_deleting_an_object_of_an_account_erases_its_picture_and_leaves_the_account(member, django_nightlight):
    ada = member("ada")
    page = Page.objects.create(member=ada, banner=picture())
    page.delete()
    assert live(django_nightlight) == set()
    assert str(ada.pk) in django_nightlight.profiles
    Page.objects.create(member=ada, banner=picture())
    key = str(ada.pk)
    ada.delete()  # and the page with it
    assert key not in django_nightlight.profiles


def test_an_erasure_that_waits_goes_before_a_new_upload(django_nightlight):
    with django_nightlight.outage():
        Club.objects.create(slug="chess", picture=picture())
        Club.objects.get().delete()
        Club.objects.create(slug="chess", picture=picture(OTHER))
    assert sync()
    assert len(live(django_nightlight)) == 1
    assert not UnsentErasure.objects.exists()


def test_objects_that_are_deleted_without_a_signal_are_erased_by_the_command(member, django_nightlight):
    ada, eve = member("ada", picture=picture()), member("eve", picture=picture())
    Member.objects.filter(pk=ada.pk).update(picture="")
    Member.objects.filter(pk=eve.pk)._raw_delete("default")
    assert sync()
    assert live(django_nightlight) == set()


def test_a_refused_picture_leaves_the_one_before(member, django_nightlight):
    ada = member("ada", picture=picture())
    before = ada.picture.name
    ada.picture = picture(b"no picture at all")
    ada.save()
    assert (ada.picture.name, Member.objects.get().picture.name) == (before, before)
    refused = UploadedPicture.objects.get(state="refused")
    assert refused.reason
    assert refused.content is None
    assert len(live(django_nightlight)) == 1


def test_a_rejected_picture_leaves_the_one_before_and_says_why(member, django_nightlight):
    ada = member("ada", picture=picture())
    before = ada.picture.name
    assert sync()
    django_nightlight.settle = False
    ada.picture = picture(OTHER)
    ada.save()
    pending = UploadedPicture.objects.get(state="pending")
    django_nightlight.finish(pending.image_id, state="rejected", reason="corrupt_image")
    assert sync()
    pending.refresh_from_db()
    assert (pending.state, pending.reason, Member.objects.get().picture.name) == ("rejected", "corrupt_image", before)


def test_a_superseded_picture_leaves_no_row(member, django_nightlight):
    ada = member("ada", picture=picture())
    ada.picture = picture(OTHER)
    ada.save()
    assert sync()
    assert [row.key for row in UploadedPicture.objects.all()] == [ada.picture.name]


def test_an_account_without_a_possible_id_gets_no_picture(django_nightlight):
    with pytest.raises(ValueError, match="needs an account"), transaction.atomic():
        Club.objects.create(slug="..", picture=picture())
    assert not Club.objects.exists()
    assert list(django_nightlight.calls) == []


def test_the_storage_reads_nothing_back_and_takes_nothing(member, django_nightlight):
    ada, storage = member("ada", picture=picture()), NightlightStorage()
    with pytest.raises(SuspiciousFileOperation):
        storage.open(ada.picture.name)
    with pytest.raises(SuspiciousFileOperation):
        storage.save("x.png", picture())
    with pytest.raises(SuspiciousFileOperation):
        _ = Member.objects.get().picture.size
    assert storage.exists(ada.picture.name)
    assert django_nightlight.shown(storage.url(ada.picture.name)).profile_id in {str(ada.pk), None}
    assert storage.url("no such key")
    storage.delete(ada.picture.name)
    assert live(django_nightlight) == set()


@pytest.fixture
def settings():
    from django.conf import settings

    return settings


def test_pictures_that_a_site_had_before_are_sent_and_their_files_go(member, django_nightlight, tmp_path):
    from django.core.files.storage import default_storage

    ada, eve = member("ada"), member("eve")
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        name = default_storage.save("pictures/ada.png", picture())
        Member.objects.filter(pk=ada.pk).update(picture=name)
        Member.objects.filter(pk=eve.pk).update(picture="pictures/lost.png")
        assert django_nightlight.shown(Member.objects.get(pk=ada.pk).picture.url).tier == "placeholder"
        with pytest.raises(SystemExit):  # a file is lost
            call_command("nightlight_import", "django_site.Member", "--delete", verbosity=0)
        assert [profile for profile, _ in live(django_nightlight)] == [str(ada.pk)]
        assert not (tmp_path / "pictures/ada.png").exists()
        with django_nightlight.outage():
            name = default_storage.save("pictures/eve.png", picture(OTHER))
            Member.objects.filter(pk=eve.pk).update(picture=name)
            with pytest.raises(SystemExit):
                call_command("nightlight_import", "django_site.Member", "--delete", verbosity=0)
        assert (tmp_path / "pictures/eve.png").exists()
        assert sync()
        assert len(live(django_nightlight)) == 2


def test_a_refused_file_of_before_keeps_its_name(member, django_nightlight, tmp_path):
    from django.core.files.storage import default_storage

    ada = member("ada")
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        name = default_storage.save("pictures/ada.svg", picture(b"<svg/>"))
        Member.objects.filter(pk=ada.pk).update(picture=name)
        with pytest.raises(SystemExit):
            call_command("nightlight_import", "django_site.Member", verbosity=0)
    assert Member.objects.get().picture.name == name
    assert live(django_nightlight) == set()
