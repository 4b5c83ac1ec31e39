"""What a Django page of avatars costs in Nightlight's code: CPU time, medians.

    python bench/django_page.py                 100 avatars, half of them connections with proofs
    python bench/django_page.py --avatars 500

``call``: everything between the view and the HTML: viewer and relations (of a dictionary: the site's own query is not
in it), proofs, the request and its JSON, the answer's JSON, decisions, 100 escaped elements. The transport is replaced
by one that encodes the request and returns bytes of a real answer: no socket, no service. ``page``: what a template with
``{% avatars %}`` takes beyond the same template that writes as many plain elements of texts that it has already.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from types import SimpleNamespace

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import django
from django.conf import settings

VIEWER = "7"
RELATIONS: dict[str, str] = {}


def words(_viewer, _owners):
    return RELATIONS


settings.configure(
    INSTALLED_APPS=["nightlight_django"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    NIGHTLIGHT={"RELATIONS": words, "VIEWER": lambda _: VIEWER},
)
django.setup()

from django.template import engines  # noqa: E402 - the settings come first

from nightlight_client import HttpOptions, NightlightClient  # noqa: E402
from nightlight_client.responses import Response  # noqa: E402
from nightlight_client.testing import FakeNightlight  # noqa: E402
from nightlight_client.testing.flat_picture import flat_picture  # noqa: E402
from nightlight_django.avatars import avatars  # noqa: E402
from nightlight_django.conf import use_client  # noqa: E402
from nightlight_django.viewers import looking  # noqa: E402


class Recorded:
    """Carries a request nowhere: encodes it, and answers with the bytes that a fake answered once."""

    def __init__(self, fake):
        self.fake, self.answer = fake, None

    def send(self, attempt, headers):
        json.dumps(attempt.request.json).encode()
        if self.answer is None:
            self.answer = self.fake.send(attempt, headers)
        return Response(self.answer.status, self.answer.content, self.answer.headers)


def cpu_ms(action, runs):
    times = []
    for _ in range(runs):
        begin = time.process_time()
        action()
        times.append((time.process_time() - begin) * 1000)
    return statistics.median(times)


def site(count):
    """A fake with pictures of so many accounts, half of them the viewer's connections."""
    fake = FakeNightlight()
    client = fake.client()
    owners = [str(1000 + number) for number in range(count)]
    for number, owner in enumerate(owners):
        client.declare(owner, band="adult", assurance="verified", region="eu", choice="everyone")
        client.upload(owner, flat_picture(64, bytes([number % 256, 1, 2])))
    RELATIONS.update(dict.fromkeys(owners[::2], "connection"))
    return fake, owners


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatars", type=int, default=100)
    parser.add_argument("--runs", type=int, default=300)
    asked = parser.parse_args()
    fake, owners = site(asked.avatars)
    options = HttpOptions(carrier=Recorded(fake))
    client = NightlightClient(
        "https://nightlight.test", token=lambda: "bench", relation_keys=fake.relation_keys, options=options
    )
    request = SimpleNamespace(user=None)

    def call():
        with looking(request):
            return [picture.html() for picture in avatars(owners)]

    engine = engines["django"]
    ours = engine.from_string(
        "{% load nightlight %}{% avatars owners as pictures %}{% for p in pictures %}{{ p }}{% endfor %}"
    )
    plain = engine.from_string('{% for p in pictures %}<img src="{{ p.url }}" alt="{{ p.alt }}">{% endfor %}')

    def page():
        with looking(request):
            return ours.render({"owners": owners})

    with use_client(client):
        elements = call()
        if len(set(elements)) != asked.avatars or any("data:" in element for element in elements):
            raise SystemExit("not every avatar has a picture of its own")
        with looking(request):
            ready = [{"url": picture.url, "alt": picture.alt} for picture in avatars(owners)]
        called, paged = cpu_ms(call, asked.runs), cpu_ms(page, asked.runs)
        base = cpu_ms(lambda: plain.render({"pictures": ready}), asked.runs)
    print(f"{asked.avatars} avatars, {len(RELATIONS)} with proofs, medians of {asked.runs} runs, CPU milliseconds")
    print(f"call  {called:6.2f}   relations, proofs, request, answer, elements")
    print(f"page  {paged - base:6.2f}   a template of them ({paged:.2f}) beyond one of plain elements ({base:.2f})")


if __name__ == "__main__":
    main()
