"""The golden table: what every implementation of the delivery decision must answer, URL by URL.

python -m tests.support.golden      write docs/api/decisions.json anew, from the service; look at the difference

It is made by the service over HTTP with a clock that stands still, keys that are known, and a catalogue of profiles
that differ in one thing each. The tests hold the service and the local mode to it.
"""

import base64
import itertools
import json
import tempfile
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from sqlalchemy import insert

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.schema import blocks, images, profiles, proof_revocations, renditions, revocations
from nightlight.cli import key_commands
from nightlight.cli.embedded import free_port
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_folder
from nightlight.policy.signing import SigningKey
from nightlight.settings import Settings
from nightlight.wiring.service_container import build_service
from nightlight_client import NightlightClient
from nightlight_client.requests import Request
from nightlight_client.responses import read_json
from nightlight_core.decisions.relation_proofs import issue_proof
from service.app import create_app
from service.client_timeouts import TimeoutProtocol
from tests.support import fake_policy
from tests.support.waiting import HANG_S, eventually

ROOT = Path(__file__).parents[2]
PATH = ROOT / "docs/api/decisions.json"
NOW = 1_800_000_123
ORIGIN = "https://pictures.example"
VIEWER = "viewer-1"
RELATION_KEYS = {"r1": bytes(range(32))}
RING = "d1:" + base64.b64encode(bytes(range(100, 140))).decode()
NAME_KEY = base64.b64encode(bytes(range(50, 90))).decode()
TIERS = {"tiny": (96, 5, 16), "low": (160, 16, None), "medium": (320, None, None), "full": (1024, None, None)}
PROFILE = {
    "state": "live", "band": "age_13_15", "assurance": "verified", "region": "eu", "choice": "connections",
    "report_flag": "clear", "generation": 3, "uploads": 1, "image_band": "age_13_15", "released_band": None, "days": 1,
}  # fmt: skip
# What each profile differs in.
PEOPLE = {
    "teen": {},
    "child": {"band": "under_13", "image_band": "under_13"},
    "older-teen": {"band": "age_16_17", "image_band": "age_16_17"},
    "grown": {"band": "adult", "image_band": "adult"},
    "grown-public": {"band": "adult", "image_band": "adult", "choice": "everyone"},
    "grown-since": {"band": "adult"},
    "grown-since-released": {"band": "adult", "released_band": "adult"},
    "hidden": {"choice": "hidden"},
    "reported": {"report_flag": "reported"},
    "lapsed": {"band": "adult", "image_band": "adult", "days": 31},
    "nobody-vouches": {"band": "adult", "image_band": "adult", "assurance": "none"},
    "californian": {"region": "us_ca"},
    "no-picture": {"picture": False},
    "being-renamed": {"renamed": True},
    "blocks-the-viewer": {"blocks": [VIEWER]},
    "blocks-another": {"blocks": ["viewer-2"]},
    "two-variants": {"variants": 2},
    "larger-than-allowed": {"edge": 1},
    "finer-than-allowed": {"face": 1},
    "word-since-gone": {"region": "atlantis"},
    "deleted": {"state": "deleted"},
    "revoked-since": {"revoked": {"": 0}},
    "revoked-long-before": {"revoked": {"": -6}},
    "revoked-a-moment-before": {"revoked": {"": -5}},
    "revoked-for-the-viewer": {"revoked": {VIEWER: 0}},
    "revoked-for-another": {"revoked": {"viewer-2": 0}},
    "deactivated": {"state": "deactivated"},
    "finer-without-a-face": {"no_face": 1},
}
CLAIMED = ("stranger", "connection", "guardian", "self", "blocked", "cousin")
WORDS = [("peer", "profile"), ("adult", "list"), ("unverified", "search"), ("signed_out", "profile")]


def claims(viewer_id):
    """Every profile under every relation: proved, not proved, and proved for somebody else."""
    asked = []
    for profile_id in [*PEOPLE, "nobody-at-all"]:
        for relation in CLAIMED:
            item = {"profile_id": profile_id, "relation": relation}
            if viewer_id and relation not in {"stranger", "blocked"}:
                item["proof"] = issue_proof(RELATION_KEYS, viewer_id, profile_id, relation, now=NOW, life_s=600)
            asked.append(item)
    proof = issue_proof(RELATION_KEYS, "viewer-2", "teen", "connection", now=NOW, life_s=600)
    old = issue_proof(RELATION_KEYS, VIEWER, "teen", "connection", now=NOW - 1200, life_s=600)
    early = issue_proof(RELATION_KEYS, VIEWER, "teen", "connection", now=NOW + 1200, life_s=600)
    too_far = issue_proof(RELATION_KEYS, VIEWER, "teen", "connection", now=NOW + 6, life_s=600)
    others = [None, proof, old, early, too_far, proof[:-1] + "A", "r9" + proof[2:]]
    return asked + [{"profile_id": "teen", "relation": "connection", "proof": proof} for proof in others]


def requests():
    """Every request of the table, each of at most 500 items."""
    asked = [
        {"viewer": viewer, "context": context, "viewer_id": VIEWER, "items": claims(VIEWER)}
        for viewer, context in WORDS
    ]
    asked.append({"viewer": "peer", "context": "profile", "viewer_id": None, "items": claims(None)[::7]})
    # Less than the policy allows: of the whole request, and of single items, as more and as less than of the whole.
    items = [
        {**item, **({"at_most": tier} if tier else {})}
        for item, tier in zip(claims(VIEWER), itertools.cycle((None, "tiny", "medium", "full", "none")), strict=False)
    ]
    for at_most in ("low", None):
        less = {"at_most": at_most} if at_most else {}
        asked.append({"viewer": "peer", "context": "profile", "viewer_id": VIEWER, **less, "items": items})
    return asked


def fill(catalogue):
    now = datetime.fromtimestamp(NOW, UTC)
    rows = {table: [] for table in (profiles, images, renditions, revocations, blocks, proof_revocations)}
    for number, (profile_id, own) in enumerate(PEOPLE.items()):
        profile, image_id = {**PROFILE, **own}, f"{number:032x}"
        picture = profile.get("picture", True)
        rows[profiles].append(
            {name: profile[name] for name in ("state", "band", "assurance", "region", "choice", "generation", "uploads")}
            | {"profile_id": profile_id, "report_flag": profile["report_flag"], "asserted_band": profile["band"], "asserted_at": now - timedelta(days=profile["days"]), "created_at": now,
               "current_image_id": image_id if picture else None}
        )  # fmt: skip
        for viewer_id, after_s in profile.get("revoked", {}).items():
            rows[proof_revocations].append(
                {"profile_id": profile_id, "viewer_id": viewer_id, "revoked_at": NOW + after_s}
            )
        for viewer_id in profile.get("blocks", ()):
            rows[blocks].append({"profile_id": profile_id, "viewer_id": viewer_id, "created_at": now})
        if not picture:
            continue
        rows[images].append(
            {"image_id": image_id, "profile_id": profile_id, "sequence": 1, "state": "ready", "original_key": f"o/{number}",
             "original_bytes": 1, "format": "jpeg", "width": 1, "height": 1, "band": profile["image_band"],
             "ceiling_band": profile["image_band"], "released_band": profile["released_band"], "created_at": now, "ready_at": now, "blurhash": "L" * 36}
        )  # fmt: skip
        for at, (tier, (edge, face, no_face)) in enumerate(TIERS.items()):
            for variant in range(profile.get("variants", 1)):
                letters = "abcdefghijklmnopqrstuvwxyz234567"
                name = (letters[number] + letters[at] + letters[variant]).ljust(32, "q")
                rows[renditions].append(
                    {"name": name, "image_id": image_id, "tier": tier, "generation": 3,
                     "recipe": tier, "format": "webp", "bytes": 6000, "width": edge + profile.get("edge", 0), "height": edge,
                     "sha256": "0" * 64, "face_px": None if face is None else face + profile.get("face", 0),
                     "no_face_px": None if no_face is None else no_face + profile.get("no_face", 0),
                     "variant": variant, "created_at": now}
                )  # fmt: skip
                if profile.get("renamed"):
                    rows[revocations].append({"name": name, "format": "webp", "image_id": image_id, "created_at": now})
    with catalogue.transaction() as tx:
        tx.recipes.add(compile_folder(ROOT / "policies").table.tiers, now)
        for table, values in rows.items():
            tx.connection.execute(insert(table), values)


@contextmanager
def served(monkeypatch, *more_scopes, **settings):
    """A NightlightClient that may ask, and ``more_scopes``; the publisher's key, and the components of the service."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        key_commands.init(folder)
        environment = {
            **key_commands.environment(folder), "NIGHTLIGHT_DATA_DIR": text, "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"),
            "NIGHTLIGHT_CATALOGUE_URL": f"sqlite:///{folder}/c.sqlite3", "NIGHTLIGHT_DELIVERY_BASE_URL": ORIGIN,
            "NIGHTLIGHT_DELIVERY_SIGNING_KEYS": RING, "NIGHTLIGHT_DELIVERY_NAME_KEY": NAME_KEY,
            "NIGHTLIGHT_RELATIONS_KEYS": "r1:" + base64.b64encode(RELATION_KEYS["r1"]).decode(),
            **settings,
        }  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        catalogue = Catalogue(environment["NIGHTLIGHT_CATALOGUE_URL"])
        migrate.upgrade(catalogue.engine)
        fill(catalogue)
        catalogue.close()
        services = build_service(Settings(), lambda: datetime.fromtimestamp(NOW, UTC))
        scopes = ["decide", "explain", "local", "policy", "relate", *more_scopes]
        token = key_commands.token(folder, scopes=scopes, subject="golden", hours=12)
        with serving(services) as url, NightlightClient(url, token=token) as client:
            publisher = SigningKey.read(folder / "keys/publisher.private.jwk.json")
            client.activate(build_bundle(compile_folder(ROOT / "policies"), 1, publisher))
            yield client, publisher, services


@contextmanager
def serving(services, port=None):
    """The service over its components, by the server that it runs on; its URL."""
    port = port or free_port()
    settings = {"host": "127.0.0.1", "port": port, "log_config": None, "access_log": False, "http": TimeoutProtocol}
    server = uvicorn.Server(uvicorn.Config(create_app(services), **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started or None)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(HANG_S)


def decision_table(client):
    """The table, as the service answers now."""
    views = client.views([*PEOPLE, "nobody-at-all"])["profiles"]
    days = client.delegated_keys()
    cases = []
    for request in requests():
        body = {name: value for name, value in request.items() if value is not None}
        answers = client.send(Request(method="POST", path="/v1/decisions", json=body, read=read_json))["items"]
        cases.append(
            {
                **request,
                "answers": [
                    [item["url"].removeprefix(ORIGIN), item["expires_at"], item["capture"]] for item in answers
                ],
            }
        )
    return {
        "format": "nightlight-decisions/2",
        "now": NOW,
        "policy_digest": compile_folder(ROOT / "policies").table.digest,
        "relation_keys": {name: base64.b64encode(key).decode() for name, key in RELATION_KEYS.items()},
        "keys": days,
        "profiles": views,
        "cases": cases,
    }


def written(table):
    """The file's text: one line for each profile and each item, so that a difference can be read."""

    def listed(items):
        return "[\n" + ",\n".join(json.dumps(item, separators=(",", ":")) for item in items) + "\n]"

    cases = []
    for case in table["cases"]:
        head = json.dumps({name: case[name] for name in case if name not in {"items", "answers"}})[:-1]
        cases.append(f'{head}, "items": {listed(case["items"])}, "answers": {listed(case["answers"])}}}')
    plain = {name: value for name, value in table.items() if name not in {"profiles", "cases"}}
    head = json.dumps(plain, indent=1)[:-2]
    return f'{head},\n "profiles": {listed(table["profiles"])},\n "cases": [\n' + ",\n".join(cases) + "\n]}\n"


def main():
    import pytest

    with pytest.MonkeyPatch.context() as patch, served(patch) as (client, _, _):
        PATH.write_text(written(decision_table(client)), "utf-8")
    fake_policy.write()


if __name__ == "__main__":
    main()
