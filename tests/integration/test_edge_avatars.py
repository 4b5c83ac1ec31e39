"""A platform's avatar URLs behind nginx: the real decision for each viewer, and nobody else's picture from a cache."""

import itertools
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from nightlight.cli import key_commands
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.decisions.relation_proofs import issue_proof
from tests.support import pictures
from tests.support.avatar_edge import TOKEN, AvatarEdge, Platform, ViewerKey
from tests.support.stacks import Embedded
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

FRIEND, STRANGER, BLOCKED = "v-friend", "v-stranger", "v-blocked"
# What is declared of each; the last of them has no picture.
PROFILES = {
    "minor": ("age_13_15", "verified", "connections"),
    "child": ("under_13", "verified", "connections"),
    "adult": ("adult", "verified", "connections"),
    "covered": ("adult", "none", "everyone"),
    "public": ("adult", "verified", "everyone"),
    "bare": ("adult", "verified", "connections"),
}
COVERED = ("minor", "child", "adult", "covered")


@dataclass
class World:
    """A running Nightlight with profiles, an edge in front of it, and who looks."""

    stack: Embedded
    key: ViewerKey
    platform: Platform
    edge: AvatarEdge

    def get(self, profile_id, token=None, *, edge=None, **headers):
        cookie = {"Cookie": f"viewer={token}"} if token else {}
        return httpx.get(f"{(edge or self.edge).url}/avatars/{profile_id}?s=128", headers={**cookie, **headers})

    def friend(self, profile_id="minor", viewer_id=FRIEND):
        """A token with a good relation proof."""
        proof = self.proof(profile_id, viewer_id)
        return self.key.token(viewer_id, proofs={profile_id: f"connection {proof}"})

    def proof(self, profile_id="minor", viewer_id=FRIEND):
        ring = key_commands.relation_keys(self.stack.folder)
        return issue_proof(ring, viewer_id, profile_id, "connection", now=int(time.time()), life_s=600)

    def wanted(self, profile_id, relation="stranger", viewer_id=STRANGER, viewer="peer"):
        """The bytes that the service itself gives."""
        with self.stack.client("decide") as client:
            decision = client.decide(viewer, "profile", [(profile_id, relation)], viewer_id=viewer_id)[0]
            return httpx.get(decision.url).content


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder, key = tmp_path_factory.mktemp("avatars"), ViewerKey()
    (folder / "viewers.json").write_text(json.dumps(key.jwks))
    settings = {
        "NIGHTLIGHT_AVATARS_EDGE_TOKENS": f"{'x' * 40},{TOKEN}",
        "NIGHTLIGHT_AVATARS_VIEWER_JWKS": str(folder / "viewers.json"),
        "NIGHTLIGHT_AVATARS_VIEWER_ISSUER": "platform",
        "NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "1000000",
    }
    with Embedded(folder / "stack", **settings) as stack, Platform() as platform:
        with stack.client() as client:
            for profile_id, (band, assurance, choice) in PROFILES.items():
                client.declare(profile_id, band=band, assurance=assurance, region="eu", choice=choice)
            images = [
                client.upload(name, pictures.jpeg(400 + n, 400)) for n, name in enumerate(PROFILES) if name != "bare"
            ]
            assert {client.wait(image.image_id).state for image in images} == {"ready"}
            client.block("minor", BLOCKED)
        # What a platform may have had: it must not win over the edge's own location.
        with AvatarEdge(folder / "edge", stack.url, server='location ~ jpg$ { return 200 "before"; }') as edge:
            running = World(stack, key, platform, edge)
            for profile_id in (*COVERED, "public"):  # another process has rendered them
                eventually(lambda p=profile_id: running.wanted(p) != placeholder_bytes())
            yield running


def same(answer, other):
    """Say whether nothing but the moment differs between two answers."""
    heads = [[pair for pair in each.headers.raw if pair[0].lower() != b"date"] for each in (answer, other)]
    return (answer.status_code, heads[0], answer.content) == (other.status_code, heads[1], other.content)


def shape(answer):
    """What an outsider sees of an answer, but its bytes and what names them."""
    names = [name.lower() for name, _ in answer.headers.raw]
    values = {k: v for k, v in answer.headers.items() if k not in {"date", "etag", "content-length"}}
    return answer.status_code, names, values


def test_nginx_takes_the_configuration(world):
    tested = world.edge.test()
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr


def test_a_linter_finds_nothing(world):
    gixy = Path(sys.executable).parent / "gixy"
    linted = subprocess.run([gixy, world.edge.folder / "nginx.conf"], capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


def test_each_viewer_gets_what_the_policy_gives(world):
    friend, stranger = world.friend(), world.key.token(STRANGER)
    outsider, full = world.wanted("minor"), world.wanted("minor", "connection", FRIEND)
    assert len({outsider, full, placeholder_bytes()}) == 3
    assert world.get("minor", friend).content == full
    assert world.get("minor", stranger).content == outsider
    assert world.get("minor", world.key.token(BLOCKED)).content == placeholder_bytes()
    assert world.get("minor").content == placeholder_bytes()  # signed out
    assert world.get("public").content == world.wanted("public", viewer="signed_out", viewer_id=None)
    assert world.get("minor", Authorization=f"Bearer {friend}").content == full
    assert world.get("adult", friend).content == world.wanted("adult")  # a proof for another profile


def test_an_answer_is_private_and_says_what_every_picture_says(world):
    answer = world.get("minor", world.friend())
    assert answer.headers["cache-control"] == "private, max-age=60"
    assert answer.headers["vary"] == "Cookie, Authorization"
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["x-robots-tag"] == "noai, noimageai, noindex"
    assert {"set-cookie", "last-modified", "x-request-id", "x-accel-redirect", "expires", "x-cache"} & set(
        answer.headers
    ) == set()
    again = world.get("minor", world.friend(), **{"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert world.get("minor", world.key.token(STRANGER), **{"If-None-Match": answer.headers["etag"]}).status_code == 200
    head = httpx.head(f"{world.edge.url}/avatars/minor", headers={"Cookie": f"viewer={world.friend()}"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == answer.headers["etag"]


def broken_tokens(world):
    good, other = world.friend(), ViewerKey()
    other.private["kid"] = world.key.private["kid"]
    head, body, signature = good.split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    yield from (
        "", "x", "a.b.c", good[:-2], f"{head}.{body}.", f"{none}.{body}.", f"{none}.{body}.{signature}", f"{head}.{signature}.{body}",
        good + ".x", "%00", "a" * 5000, f"{good} {good}", good.swapcase(),
        other.token(FRIEND), ViewerKey().token(FRIEND),
        world.key.token(FRIEND, life_s=-600), world.key.token(FRIEND, aud="nightlight"), world.key.token(FRIEND, iss="other"),
        world.key.token(FRIEND, life_s=90_000), world.key.token(None), world.key.token(FRIEND, exp=None), world.key.token("\u202e"),
        world.key.token(FRIEND, "nobody-knows-this-word"), world.key.token(FRIEND, ""),
    )  # fmt: skip


def test_whatever_is_wrong_with_a_token_its_bearer_is_an_outsider(world):
    nobody, public = world.get("minor"), world.get("public")
    for token in broken_tokens(world):
        assert same(world.get("minor", token), nobody), token
        assert same(world.get("public", token), public), token
        assert same(world.get("minor", Authorization=f"Bearer {token}x"[:6000]), nobody), token


def test_a_proof_that_is_not_good_makes_a_stranger(world):
    stranger = world.get("minor", world.key.token(STRANGER))
    proof = world.proof()
    for proofs in (
        {"minor": f"connection {proof}"}, {"minor": f"self {proof}"}, {"minor": "connection x"}, {"minor": "connection"},
        {"minor": f"stranger {proof}"}, {"minor": 7}, {"minor": None}, {}, [], "x", 7, {"adult": f"connection {proof}"},
    ):  # fmt: skip
        assert same(world.get("minor", world.key.token(STRANGER, proofs=proofs)), stranger), proofs
    assert not same(world.get("minor", world.key.token(FRIEND, proofs={"minor": f"connection {proof}"})), stranger)


def test_an_outsider_cannot_tell_who_is_a_minor_or_who_exists(world):
    stranger = world.key.token(STRANGER)
    for token in (None, stranger):
        answers = {name: world.get(name, token) for name in (*PROFILES, "nobody-has-this-id", "", "x/y")}
        assert len({str(shape(answer)) for answer in answers.values()}) == 1
    signed_out = [world.get(name) for name in (*COVERED, "bare", "nobody-has-this-id", "a/b")]
    assert all(same(answer, signed_out[0]) for answer in signed_out)
    sizes = [len(world.get(name, stranger).content) for name in COVERED]
    assert max(sizes) < 3_100  # tiny, as any profile's
    blocked = world.key.token(BLOCKED)
    assert same(world.get("minor", blocked), world.get("nobody-has-this-id", blocked))
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        refused = {
            str(shape(httpx.request(method, f"{world.edge.url}/avatars/{name}"))) for name in (*PROFILES, "nobody")
        }
        assert len(refused) == 1


def raw(edge, target, *lines):
    """The body of the answer to a request that is sent as it is."""
    with socket.create_connection(("127.0.0.1", edge._port), timeout=30) as connection:
        head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *lines, "Connection: close", "", ""])
        connection.sendall(head.encode("latin-1"))
        data = b""
        while more := connection.recv(65536):
            data += more
    return data


TARGETS = [
    "/avatars/minor", "/avatars/minor?s=128", "/avatars/minor?s=128&x=1", "/avatars/minor?", "/avatars//minor", "//avatars/minor",
    "/avatars/./minor", "/avatars/x/../minor", "/avatars/%6dinor", "/avatars/%256dinor", "/avatars/minor%20", "/avatars/minor.",
    "/avatars/minor;x", "/avatars/MINOR", "/AVATARS/minor", "/avatars/minor%00", "/avatars/minor%0a", "/avatars/minor/", "/%61vatars/minor",
    "/avatars%2fminor", "/avatars/minor#x", "http://x/avatars/minor", "/avatars/minor?s=128%0aviewer", "/avatars/minor\\",
    "/.nightlight/a/x", "/.nightlight/old", "/.nightlight/placeholder", "/avatars/../.nightlight/placeholder",
]  # fmt: skip
LINES = [
    (), ("X-Accel-Redirect: /avatars/minor",), ("Nightlight-Viewer: v-friend",), ("Nightlight-Viewer: v-friend", "Nightlight-Viewer-Word: peer"),
    ("Nightlight-Cookie: {friend}",), ("Nightlight-Header: {friend}",), ("Nightlight-Token: {friend}",), ("Nightlight-Session: 200|v-friend|peer|",),
    ("Nightlight-Certificate: SUCCESS CN=v-friend",), ("Nightlight-Profile: public",), ("Nightlight-Network: 127.0.0.1",),
    ("X-Original-URL: /avatars/public",), ("X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: y"),
    ("Cookie: viewer={stranger}; viewer={friend}",), ("Cookie: viewer=; viewer={friend}",), ("Cookie: xviewer={friend}",),
    ("Cookie: x=viewer={friend}",), ("Authorization: Basic {friend}",), ("Authorization: Bearer {stranger}", "Authorization: Bearer {friend}"),
    ("Pragma: no-cache", "Cache-Control: only-if-cached, max-stale"), ("Range: bytes=0-",), ('If-None-Match: "{etag}"',), ("If-None-Match: *",),
    ("Accept-Encoding: br",), ("Accept: image/avif",), ("Vary: *",), ("Upgrade: h2c",),
    ("Cookie: viewer={stranger}\tx",), ("Cookie: viewer={stranger}%0a{friend}",), ("Nightlight-Proof: connection {proof}",),
]  # fmt: skip


def test_a_friends_picture_is_never_a_strangers_whatever_is_sent(world):
    """While it is in both caches, and asked for all the while."""
    friend, stranger = world.friend(), world.key.token(STRANGER)
    secret = world.get("minor", friend)
    full, hits = secret.content, 0
    assert full not in {world.wanted("minor"), placeholder_bytes()}
    proof = world.proof()
    values = {"stranger": stranger, "etag": secret.headers["etag"].strip('"'), "proof": proof}
    guesses = 0
    for target, lines in itertools.product(TARGETS, LINES):
        if "{friend}" in "".join(lines) and target != TARGETS[0]:
            continue
        # A whole token of a friend's makes a friend where it is looked for, and nowhere else; so it is sent elsewhere.
        sent = [line.format(**values, friend=friend) for line in lines]
        if guesses % 8 == 0:
            hits += sum(world.get("minor", friend).content == full for _ in range(3))
        answer = raw(world.edge, target, *sent)
        assert full[64:] not in answer, (target, sent)
        assert not answer.startswith(b"HTTP/1.1 5"), (target, sent)
        guesses += 1
    assert hits == 3 * -(-guesses // 8)


def test_the_same_but_with_a_strangers_token(world):
    friend, stranger = world.friend(), world.key.token(STRANGER)
    full = world.get("minor", friend).content
    for target in TARGETS:
        for _ in range(2):
            assert world.get("minor", friend).content == full
        for line in (f"Cookie: viewer={stranger}", f"Authorization: Bearer {stranger}"):
            assert full[64:] not in raw(world.edge, target, line), target


def test_what_is_asked_for_again_at_once_is_not_decided_again(world, tmp_path):
    log = tmp_path / "edge.log"
    with AvatarEdge(
        tmp_path / "logged", world.stack.url, {"viewer_cookie": "viewer", "log": str(log), "keep_decisions": 30}
    ) as edge:
        token = world.friend()
        answers = [world.get("minor", token, edge=edge) for _ in range(5)]
        assert len({answer.content for answer in answers}) == 1
        assert all(shape(answer) == shape(answers[0]) for answer in answers)
        other = world.get("minor", world.key.token(STRANGER), edge=edge)
        assert other.content == world.wanted("minor")
        part = world.get("minor", token, edge=edge, Range="bytes=2-5")
        assert (part.status_code, part.content) == (206, answers[0].content[2:6])
        known = world.get("minor", token, edge=edge, **{"If-None-Match": answers[0].headers["etag"]})
        assert known.status_code == 304
        eventually(lambda: log.read_text().count("\n") >= 8)
        lines = [line.split() for line in log.read_text().splitlines()]
    assert [line[2] for line in lines if line[2] != "-"] == ["MISS", "MISS", "HIT", "HIT", "HIT", "MISS", "HIT", "HIT"]
    text = log.read_text()
    assert "avatars" not in text
    assert "127.0.0.1" not in text
    assert "minor" not in text


def test_a_block_takes_effect_within_seconds_although_the_picture_is_asked_for_all_the_while(world):
    viewer = "v-soon-blocked"
    token = world.friend("minor", viewer)
    full = world.wanted("minor", "connection", viewer)
    assert {world.get("minor", token).content for _ in range(5)} == {full}
    with world.stack.client("relate") as client:
        client.block("minor", viewer)
    until = time.monotonic()
    eventually(lambda: world.get("minor", token).content == placeholder_bytes())
    assert time.monotonic() - until < 30  # some two seconds; a slow machine decides no test
    assert {world.get("minor", token).content for _ in range(3)} == {placeholder_bytes()}


def test_while_the_service_is_away_everybody_gets_the_placeholder_in_the_same_shape(world, tmp_path):
    usual = world.get("nobody-has-this-id")
    with AvatarEdge(tmp_path / "away", "http://127.0.0.1:9") as edge:
        for answer in (world.get("minor", world.friend(), edge=edge), world.get("nobody", edge=edge)):
            assert answer.content == placeholder_bytes()
            assert {name: value for name, value in answer.headers.items() if name != "date"} == {
                name: value for name, value in usual.headers.items() if name != "date"
            }
            assert [name for name, _ in answer.headers.raw] == [name for name, _ in usual.headers.raw]


def test_the_service_answers_edges_alone(world):
    for authorization in (
        "",
        "Bearer x",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN},{'x' * 40}",
        "Bearer \xff",
    ):
        answer = httpx.get(
            f"{world.stack.url}/v1/edge/avatar",
            headers={b"Authorization": authorization.encode("latin-1"), b"Nightlight-Profile": b"public", b"Nightlight-Context": b"profile"},
        )  # fmt: skip
        assert answer.status_code == 404
        assert "x-accel-redirect" not in answer.headers
    good = httpx.get(
        f"{world.stack.url}/v1/edge/avatar",
        headers={"Authorization": f"Bearer {TOKEN}", "Nightlight-Profile": "public", "Nightlight-Context": "profile"},
    )
    assert good.headers["x-accel-redirect"].startswith("/.nightlight/a/")


def test_an_edge_with_a_wrong_secret_shows_nothing(world, tmp_path):
    with AvatarEdge(tmp_path / "wrong", world.stack.url) as edge:
        secret = edge.folder / "plain.token.conf"
        secret.write_text(secret.read_text().replace(TOKEN, "y" * 40))
        edge._process.send_signal(1)
        eventually(lambda: world.get("public", edge=edge).content == placeholder_bytes())


def test_a_location_beside_it_is_the_platforms(world):
    assert httpx.get(f"{world.edge.url}/other").text == "the platform's"
    assert httpx.get(f"{world.edge.url}/other.jpg").text == "before"
    assert httpx.get(f"{world.edge.url}/avatars/minor.jpg").content == placeholder_bytes()
    assert httpx.get(f"{world.edge.url}/avatar").text == "the platform's"
