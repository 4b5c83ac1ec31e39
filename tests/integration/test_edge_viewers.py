"""How an edge is told who looks, whose a hash is, and what may be shown of before: each by real servers."""

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nightlight.cli.embedded import free_port
from nightlight_core.decisions.placeholder import placeholder_bytes
from tests.support import pictures
from tests.support.avatar_edge import TOKEN, AvatarEdge, Platform
from tests.support.stacks import Embedded
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

OLD = pictures.jpeg(800, 800)
PROFILES = {"minor": "age_13_15", "adult": "adult", "later": "adult", "bare-minor": "age_13_15", "reported": "adult"}
HASH = hashlib.md5(b"minor@example.com", usedforsecurity=False).hexdigest()
FRIENDS = [(f"v-{viewer}", profile_id) for viewer in ("friend", "other") for profile_id in PROFILES]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A Nightlight that asks the platform for relations, in the middle of a migration."""
    folder = tmp_path_factory.mktemp("viewers")
    with Platform() as platform:
        settings = {
            "NIGHTLIGHT_AVATARS_EDGE_TOKENS": TOKEN,
            "NIGHTLIGHT_AVATARS_MIGRATION": "true",
            "NIGHTLIGHT_RELATIONS_PROVIDER_URL": f"{platform.url}/relations",
            "NIGHTLIGHT_RELATIONS_PROVIDER_TIMEOUT_S": "10",
        }
        platform.relations = {pair: "connection" for pair in FRIENDS if pair[0] == "v-friend"}
        platform.relations |= {("v-owner", profile_id): "self" for profile_id in PROFILES}
        for viewer in ("friend", "owner", "stranger"):
            platform.sessions[f"session={viewer}"] = {
                "Nightlight-Viewer": f"v-{viewer}",
                "Nightlight-Viewer-Word": "peer",
            }
        platform.old = {f"/old/{profile_id}.jpg": OLD for profile_id in (*PROFILES, "nobody")}
        with Embedded(folder / "stack", **settings) as stack, stack.client() as client:
            for profile_id, band in PROFILES.items():
                client.declare(profile_id, band=band, assurance="verified", region="eu", choice="connections")
            assert client.wait(client.upload("minor", pictures.jpeg(400, 400)).image_id).state == "ready"
            session = {"viewer_session": f"{platform.url}/viewer"}
            with AvatarEdge(folder / "edge", stack.url, session) as edge:
                running = SimpleNamespace(
                    folder=folder, platform=platform, stack=stack, client=client, edge=edge, session=session
                )
                eventually(lambda: len(seen(running, "minor", "friend")) > 3_500)
                yield running


def seen(world, profile_id, viewer=None, *, edge=None, path="/avatars/"):
    headers = {"Cookie": f"session={viewer}"} if viewer else {}
    answer = httpx.get(f"{(edge or world.edge).url}{path}{profile_id}", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, max-age=60"
    return answer.content


def test_the_platforms_session_says_who_looks_and_its_graph_what_they_are(world):
    friend, stranger, owner = (seen(world, "minor", viewer) for viewer in ("friend", "stranger", "owner"))
    assert len({friend, stranger, owner, placeholder_bytes()}) == 4
    assert len(stranger) < len(friend) < len(owner)
    assert seen(world, "minor") == placeholder_bytes()
    assert ("/relations", {"viewer_id": "v-friend", "items": [
        {"profile_id": "minor", "relation": relation} for relation in ("self", "guardian", "connection", "mutual")
    ]}) in world.platform.asked  # fmt: skip


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 500, 503])
def test_whatever_the_platform_answers_but_yes_is_nobody(world, status):
    viewer = f"status-{status}"
    world.platform.sessions[f"session={viewer}"] = {"Nightlight-Viewer": "v-friend", "Nightlight-Viewer-Word": "peer"}
    world.platform.status = status
    try:
        # Neither does the relation provider answer what it should.
        content = seen(world, "minor", viewer)
    finally:
        world.platform.status = None
    assert (content == placeholder_bytes()) == (status != 200)


@pytest.mark.parametrize(
    "viewer_id",
    ["", " ", "v-friend|peer|x", "v friend", "v-friend,", "%00", "%ff", "v-friend%0d", "\u202e", "a" * 2000],
)
def test_what_is_no_viewer_is_nobody(world, viewer_id):
    viewer = f"viewer_id-{abs(hash(viewer_id))}"
    world.platform.sessions[f"session={viewer}"] = {"Nightlight-Viewer": viewer_id.encode().decode("latin-1")}
    content = seen(world, "minor", viewer)
    assert content != seen(world, "minor", "friend")
    assert len(content) < 3_100


def test_a_platform_that_is_late_or_away_knows_nobody(world):
    with AvatarEdge(world.folder / "away", world.stack.url, {"viewer_session": "http://127.0.0.1:9/viewer"}) as edge:
        assert seen(world, "minor", "friend", edge=edge) == placeholder_bytes()


def certificate(name, signer=None, *, authority=False):
    """(key, certificate) of a name, signed by another such pair or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name.from_rfc4514_string(name)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[1].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return key, builder.sign(signer[0] if signer else key, hashes.SHA256())


def written(folder, name, pair):
    plain = serialization.NoEncryption()
    path = folder / f"{name}.pem"
    key = pair[0].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(key + pair[1].public_bytes(serialization.Encoding.PEM))
    return path


def test_a_certificate_says_who_looks(world):
    folder = world.folder / "certificates"
    folder.mkdir()
    authority, other = certificate("CN=authority", authority=True), certificate("CN=elsewhere", authority=True)
    server = written(folder, "server", certificate("CN=127.0.0.1", authority))
    trusted = written(folder, "authority", authority)
    port = free_port()
    own = f"""ssl_certificate {server}; ssl_certificate_key {server};
        ssl_client_certificate {trusted}; ssl_verify_client optional_no_ca;"""
    with AvatarEdge(
        world.folder / "tls", world.stack.url, {"viewer_certificate": True}, server=own, listen=f"127.0.0.1:{port} ssl"
    ):

        def get(pair):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if pair is not None:
                context.load_cert_chain(written(folder, "client", pair))
            answer = httpx.get(f"https://127.0.0.1:{port}/avatars/minor", verify=context)
            assert answer.status_code == 200
            return answer.content

        friend, nobody = seen(world, "minor", "friend"), placeholder_bytes()
        assert get(None) == nobody
        # A certificate asserts nothing of an age: whoever holds it counts as unverified.
        known = get(certificate("CN=v-friend", authority))
        assert known not in {nobody, seen(world, "minor", "stranger")}
        assert known == get(certificate("CN=v-friend,O=Platform", authority)) != friend
        for pair in (
            certificate("CN=v-friend", other), certificate("CN=v-friend"), certificate("O=x,CN=v friend", authority),
            certificate(r"CN=x\,CN=v-friend", authority), certificate("CN=a+O=v-friend", authority),
        ):  # fmt: skip
            assert get(pair) == nobody, pair[1].subject


@pytest.mark.parametrize("how", ["file", "url"])
@pytest.mark.parametrize("scheme", ["gravatar", "libravatar"])
def test_whose_a_hash_is(world, how, scheme):
    world.platform.owners = {HASH: "minor"}
    ids = world.folder / "hashes.map"
    ids.write_text(f"{HASH} minor;\n{'0' * 64} adult;\n")
    given = {"ids": str(ids)} if how == "file" else {"ids_url": f"{world.platform.url}/owner"}
    with AvatarEdge(
        world.folder / f"{scheme}-{how}", world.stack.url, {"scheme": scheme, **world.session, **given}
    ) as edge:
        for query in ("", "?s=80", "?s=80&d=identicon", "?d=404", ".jpg?s=1"):
            assert seen(world, f"{HASH}{query}", "friend", edge=edge, path="/avatar/") == seen(world, "minor", "friend")
        unknown = seen(world, f"{'a' * 32}?d=404", "friend", edge=edge, path="/avatar/")
        assert unknown == placeholder_bytes() == seen(world, "minor", "friend", edge=edge, path="/avatar/")


def test_an_old_picture_is_shown_to_whom_the_policy_gives_all_and_to_nobody_else(world):
    old = f"{world.platform.url}/old/{{id}}.jpg"
    with AvatarEdge(world.folder / "migration", world.stack.url, {**world.session, "old": old}) as edge:

        def get(profile_id, viewer=None):
            return seen(world, profile_id, viewer, edge=edge)

        assert get("adult", "friend") == OLD
        assert get("bare-minor", "owner") == OLD
        for profile_id, viewer in (
            ("adult", "stranger"), ("adult", None), ("bare-minor", "friend"), ("bare-minor", "stranger"), ("bare-minor", None),
            ("nobody", "friend"), ("nobody", "owner"), ("nobody", None), ("%61dult", "stranger"),
        ):  # fmt: skip
            assert get(profile_id, viewer) == placeholder_bytes(), (profile_id, viewer)
        assert seen(world, "adult", "friend") == placeholder_bytes()  # an edge without --old
        assert get("minor", "friend") == seen(world, "minor", "friend") != OLD

        # A report hides it; and once Nightlight has had a picture, what becomes of that is all that counts.
        assert get("reported", "friend") == OLD
        world.client.set_report_flag("reported", "reported")
        eventually(lambda: get("reported", "friend") == placeholder_bytes())
        image = world.client.upload("later", pictures.jpeg(420, 400))
        assert world.client.wait(image.image_id).state == "ready"
        eventually(lambda: get("later", "friend") not in {OLD, placeholder_bytes()})
        world.client.delete_image(image.image_id)
        eventually(lambda: get("later", "friend") == placeholder_bytes())
        world.client.delete_profile("adult")
        eventually(lambda: get("adult", "friend") == placeholder_bytes())
        world.client.declare("adult", band="adult", assurance="verified", region="eu", choice="connections")
        for _ in range(5):
            assert get("adult", "friend") == placeholder_bytes()
