"""What pages show: one decision call for each, by whoever sent the request."""

import json
import re

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings

from nightlight_client.requests.decisions import placeholder_url
from nightlight_django.avatars import avatars, prefetch
from nightlight_django.middleware import NightlightMiddleware
from nightlight_django.viewers import looking
from tests.support.django_pictures import picture
from tests.support.django_site import nightlight as site
from tests.support.django_site.models import Club, Page

pytestmark = pytest.mark.integration
DECIDE = ("POST", "/v1/decisions")


def signed_in(member, kind=Client):
    browser = kind()
    browser.force_login(member)
    return browser


def tiers(fake, urls):
    return ["placeholder" if url.startswith("data:") else fake.shown(url).tier for url in urls]


def sources(html):
    return [source.replace("&amp;", "&") for source in re.findall(r'src="([^"]+)"', html)]


@pytest.fixture
def town(member):
    """A minor, a friend of the minor's, a stranger to both."""
    minor = member("mia", "age_13_15", picture())
    friend = member("finn", "age_13_15", picture())
    stranger = member("stan", "adult", picture())
    friend.friends.add(minor)
    return minor, friend, stranger


def test_a_page_asks_once_and_each_viewer_sees_what_is_theirs(town, django_nightlight):
    minor, friend, stranger = town
    shown = {}
    for name, browser in (
        ("self", signed_in(minor)),
        ("friend", signed_in(friend)),
        ("stranger", signed_in(stranger)),
        ("nobody", Client()),
    ):
        django_nightlight.calls.clear()
        page = browser.get("/members/").content.decode()
        assert list(django_nightlight.calls) == [DECIDE]
        shown[name] = tiers(django_nightlight, sources(page))
        assert shown[name][:3] == shown[name][3:]  # the single tags are answered by the page's call
    edges = {
        name: django_nightlight.table.pixels[seen[0]].edge if seen[0] != "placeholder" else 0
        for name, seen in shown.items()
    }
    assert edges["self"] >= edges["friend"] > edges["stranger"] >= edges["nobody"]
    assert shown["stranger"][2] == max(
        shown["stranger"], key=lambda tier: django_nightlight.table.pixels[tier].edge if tier != "placeholder" else 0
    )


def test_relations_are_asked_for_once_a_page_and_never_for_nobody(town):
    _, friend, _ = town
    signed_in(friend).get("/members/")
    assert [(viewer.id, sorted(owners)) for viewer, owners in site.asked] == [
        (str(friend.pk), sorted(str(member.pk) for member in town))
    ]
    site.asked.clear()
    Client().get("/members/")
    assert site.asked == []


def test_a_hundred_members_are_one_call(member, django_nightlight):
    for number in range(100):
        member(f"m{number}")
    django_nightlight.calls.clear()
    assert len(sources(Client().get("/members/").content.decode())) == 200
    assert list(django_nightlight.calls) == [DECIDE]


def test_without_a_request_everybody_is_a_signed_out_stranger(town, django_nightlight):
    urls = [member.picture.url for member in town]
    nobody = json.loads(Client().get("/plain/").content)["urls"]
    assert tiers(django_nightlight, urls) == tiers(django_nightlight, nobody)


def test_two_requests_share_nothing(town, django_nightlight):
    minor, _, stranger = town
    before = tiers(django_nightlight, sources(signed_in(minor).get("/members/").content.decode()))
    after = tiers(django_nightlight, sources(signed_in(stranger).get("/members/").content.decode()))
    assert before != after


def test_an_async_view_prefetches_and_one_that_does_not_shows_placeholders(town, django_nightlight, caplog):
    _, friend, _ = town
    browser = signed_in(friend, AsyncClient)
    expected = tiers(django_nightlight, json.loads(signed_in(friend).get("/plain/").content)["urls"])
    django_nightlight.calls.clear()
    answer = async_to_sync(browser.get)("/async/")
    assert tiers(django_nightlight, json.loads(answer.content)["urls"]) == expected
    assert list(django_nightlight.calls) == [DECIDE]
    answer = async_to_sync(browser.get)("/async-careless/")
    assert set(json.loads(answer.content)["urls"]) == {placeholder_url()}
    assert "aprefetch" in caplog.text


def test_pages_with_pictures_are_kept_by_no_shared_cache(town):
    assert "private" in signed_in(town[0]).get("/members/")["Cache-Control"]
    plain = NightlightMiddleware(lambda _: HttpResponse("nothing"))(RequestFactory().get("/"))
    assert not plain.has_header("Cache-Control")


def test_an_outage_is_the_placeholder_for_everybody_and_no_error(town, django_nightlight):
    with django_nightlight.outage():
        page = signed_in(town[0]).get("/members/")
    assert page.status_code == 200
    assert set(sources(page.content.decode())) == {placeholder_url()}


@pytest.mark.parametrize("name", ["VIEWER", "VIEWER_WORD", "RELATIONS"])
def test_a_function_of_the_site_that_fails_shows_the_placeholder(town, settings_with, name):
    def broken(*_):
        raise RuntimeError("the graph is away")

    with settings_with(**{name: broken}):
        page = signed_in(town[0]).get("/members/").content.decode()
    assert set(sources(page)) == {placeholder_url()}


@pytest.mark.parametrize(
    "words", [{"VIEWER_WORD": lambda _: "king"}, {"RELATIONS": lambda _v, owners: dict.fromkeys(owners, "lover")}]
)
def test_a_word_that_the_policy_does_not_have_shows_the_placeholder(town, settings_with, django_nightlight, words):
    with settings_with(**words):
        page = signed_in(town[0]).get("/members/").content.decode()
    assert set(tiers(django_nightlight, sources(page))) == {"placeholder"}


HOSTILE = ['"><script>alert(1)</script>', "' onerror='x", "{{ request.user.password }}", "\u202etxt", "a&b<c>"]


def test_hostile_names_are_escaped_and_tell_nothing(member):
    for name in HOSTILE:
        member(name, "age_13_15", picture())
    page = Client().get("/members/").content.decode()
    assert "<script" not in page
    assert page.count("<img") == 2 * len(HOSTILE)
    for tag in re.findall(r"<img[^>]*>", page):
        assert re.fullmatch(
            r'<img src="[^"<>]+" alt="[^"<>]*" data-blurhash="[^"<>]+" data-capture="\w+"( class="round")? loading="lazy">',
            tag,
        ), tag
    assert "age_" not in page
    assert "band" not in page


@pytest.mark.parametrize("slug", ["..", ".", "a/b?c#d", "ключ", "x" * 300, "\u202e", "%2e%2e", "a\x00b", '"><b>'])
def test_hostile_keys_are_quoted_or_have_no_picture(django_nightlight, slug):
    (avatar,) = avatars([Club(slug=slug)])
    assert avatar.url
    prefetch([Club(slug=slug), None, ""])


def test_an_unsaved_object_has_the_placeholder(django_nightlight):
    assert tiers(django_nightlight, [Page().banner.url, Club().picture.url]) == ["placeholder", "placeholder"]


def test_an_object_of_an_account_shows_the_accounts_picture(town, django_nightlight):
    minor, _, _ = town
    page = Page.objects.create(member=minor)
    request = RequestFactory().get("/")
    request.user = minor
    with looking(request):
        assert django_nightlight.shown(page.banner.url).profile_id == str(minor.pk)


def test_more_than_a_question_may_have_are_asked_in_groups(django_nightlight):
    assert len(avatars([str(number) for number in range(1001)])) == 1001
    assert list(django_nightlight.calls) == [DECIDE] * 3


@pytest.fixture
def settings_with():
    from django.conf import settings

    return lambda **values: override_settings(NIGHTLIGHT={**settings.NIGHTLIGHT, **values})
