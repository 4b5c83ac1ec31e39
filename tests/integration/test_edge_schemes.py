"""Whom an avatar URL names, by each scheme: nginx's own regular expressions, held against what clients may send."""

import base64
import json
import re
import socket
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from nightlight.cli.edge_nginx import files
from nightlight.cli.edge_schemes import SCHEMES
from nightlight.cli.exit_codes import run
from nightlight.cli.main import app
from nightlight.flows.decisions.avatars import AvatarRequest, profile_id_of
from nightlight_core.errors import InvalidInput
from service.routes.rendition_files import HEADERS
from tests.support.avatar_edge import TOKEN, options
from tests.support.edge import Nginx

pytestmark = pytest.mark.integration

MD5, SHA256 = "40f8d096a3777232204cb3f796c577b7", "5f6ad9d40a1c8f15a5d1d5b9f5f0c1f6f8c1d3e9a7b2c4d6e8f0a1b3c5d7e9f1"
SOURCE = "s3://media/avatars/{id}.jpg"


def encoded(text):
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


CONFIGURATIONS = [
    {"scheme": "plain", "name": "plain"},
    {"scheme": "plain", "name": "sized", "path": "/u/{id}/avatar/{size}.png"},
    {"scheme": "gravatar", "ids_url": "http://127.0.0.1:9/owner"},
    {"scheme": "thumbor", "at": "/thumbor/", "source": "avatars/{id}.jpg"},
    {"scheme": "imgproxy", "at": "/img/", "source": SOURCE},
    {"scheme": "mastodon"},
    {"scheme": "discourse"},
]
# Each with the name of its configuration, and the id that the service reads; empty is nobody.
NAMED = [
    ("plain", "/avatars/u-81", "u-81"),
    ("plain", "/avatars/u-81?s=128", "u-81"),
    ("plain", "/avatars/a%40example.com?size=1", "a@example.com"),
    ("plain", "/avatars/a@example.com", "a@example.com"),
    ("plain", "/avatars/a%2Fb", "a/b"),
    ("plain", "/avatars/%D8%B3%D9%84%D8%A7%D9%85", "\u0633\u0644\u0627\u0645"),
    ("plain", "/avatars/a%252Fb", "a%2Fb"),
    ("plain", "/avatars/u-81/", ""),
    ("plain", "/avatars/u-81/x", ""),
    ("plain", "/avatars/", ""),
    ("plain", "/avatars//u-81", ""),
    ("plain", "//avatars/u-81", ""),
    ("plain", "/avatars/../avatars/u-81", ""),
    ("plain", "/avatars/x/%2e%2e/u-81", ""),
    ("plain", "/avatars/.", ""),
    ("plain", "/avatars/%2e%2e", ""),
    ("plain", "/avatars/%", ""),
    ("plain", "/avatars/%zz", ""),
    ("plain", "/avatars/%ff", ""),
    ("plain", "/avatars/a%00", ""),
    ("plain", "/avatars/a%0d%0aNightlight-Viewer:%20x", ""),
    ("plain", "/avatars/a;b", "a;b"),
    ("plain", "/avatars/u-81.", "u-81."),
    ("plain", "/avatars/U-81", "U-81"),
    ("plain", "/AVATARS/u-81", ""),
    ("sized", "/u/u-81/avatar/64.png", "u-81"),
    ("sized", "/u/u-81/avatar/64.png?v=2", "u-81"),
    ("sized", "/u/u-81/avatar/big.png", ""),
    ("sized", "/u/u-81/avatar/64xpng", ""),
    ("gravatar", f"/avatar/{MD5}?s=80&d=identicon", MD5),
    ("gravatar", f"/avatar/{MD5}.jpg?d=404", MD5),
    ("gravatar", f"/avatar/{SHA256}", SHA256),
    ("gravatar", f"/avatar/{MD5.upper()}", MD5.upper()),
    ("gravatar", f"/avatar/{MD5}0", ""),
    ("gravatar", "/avatar/u-81", ""),
    ("thumbor", "/thumbor/unsafe/300x200/smart/avatars/u-81.jpg", "u-81"),
    ("thumbor", "/thumbor/K97LekICOXT9MbO3X1u8BBkrjbu5/fit-in/64x64/filters:quality(80)/avatars/u-81.jpg", "u-81"),
    ("thumbor", "/thumbor/unsafe/64x64/https%3A%2F%2Fcdn.example%2Favatars%2Fu-81.jpg", "u-81"),
    ("thumbor", "/thumbor/unsafe/avatars/u-81.jpg", "u-81"),
    ("thumbor", "/thumbor/unsafe/64x64/avatars/u-81.jpg/other.jpg", ""),
    ("thumbor", "/thumbor/unsafe/64x64/other/u-81.jpg", ""),
    ("thumbor", "/thumbor/unsafe/64x64/xavatars/u-81.jpg", ""),
    ("imgproxy", "/img/AfrOrF3gWeDA6VOlDG4TzxMv39O7MXnF4CXpKUwGqRM/rs:fit:300:300/plain/s3://media/avatars/u-81.jpg", "u-81"),
    ("imgproxy", "/img/_/rs:fit:300:300/plain/s3%3A%2F%2Fmedia%2Favatars%2Fu-81.jpg@webp", "u-81"),
    ("imgproxy", f"/img/_/rs:fit:300:300/{encoded('s3://media/avatars/u-81.jpg')}.webp", "u-81"),
    ("imgproxy", f"/img/_/w:64/h:64/{encoded('s3://media/avatars/u-81.jpg')[:16]}/{encoded('s3://media/avatars/u-81.jpg')[16:]}", "u-81"),
    ("imgproxy", f"/img/_/{encoded('s3://media/avatars/u%2D81.jpg')}", "u-81"),
    ("imgproxy", f"/img/_/rs:fit:3:3/{encoded('s3://other/avatars/u-81.jpg')}", ""),
    ("imgproxy", f"/img/_/rs:fit:3:3/{encoded('s3://media/avatars/x/u-81.jpg')}", ""),
    ("imgproxy", "/img/_/rs:fit:3:3/plain/s3://other/u-81.jpg", ""),
    ("mastodon", "/system/accounts/avatars/110/123/456/789/012/345/original/0123456789abcdef.png", "110123456789012345"),
    ("mastodon", "/system/cache/accounts/avatars/110/123/456/789/012/345/static/a.jpg", "110123456789012345"),
    ("mastodon", "/system/accounts/avatars/000/000/001/original/a.png", "1"),
    ("mastodon", "/system/accounts/avatars/000/012/345/original/a.png", "12345"),
    ("mastodon", "/system/accounts/avatars/000/012/345/large/a.png", ""),
    ("discourse", "/user_avatar/forum.example/sam/45/123_2.png", "sam"),
    ("discourse", "/user_avatar/forum.example/j.doe-1/240/7_2.gif", "j.doe-1"),
    ("discourse", "/user_avatar/forum.example/sam/x/1_2.png", ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    """nginx that says what each configuration's maps make of a request."""
    folder = tmp_path_factory.mktemp("schemes")
    (folder / "cache").mkdir()
    http, echoes = "", ""
    for given in CONFIGURATIONS:
        asked = options(service="http://127.0.0.1:9", cache=str(folder / "cache"), **given)
        for name, data in files(asked, TOKEN, str(folder)).items():
            (folder / name).write_bytes(data)
        http += f"include {folder}/{asked.name}.http.conf;\n"
        source = f"$nightlight_{asked.name}_source" if asked.scheme == "imgproxy" else ""
        echoes += f'add_header X-{asked.name} "$nightlight_{asked.name}_key|{source}" always;\n'
    running = Nginx(folder)
    running.start(f"{http} server {{ listen 127.0.0.1:{running._port}; location / {{ {echoes} return 200; }} }}")
    yield running
    running.__exit__()


def sent(nginx, target):
    """The headers of the answer to a request whose target is sent as it is."""
    with socket.create_connection(("127.0.0.1", nginx._port), timeout=30) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
        data = b""
        while more := connection.recv(65536):
            data += more
    return dict(re.findall(r"\r\n(X-[a-z]+): (.*?)(?=\r\n)", data.decode("latin-1")))


def test_each_url_names_whom_it_names(nginx):
    wrong = []
    for name, target, wanted in NAMED:
        key, _, source = sent(nginx, target).get(f"X-{name}", "|").partition("|")
        asked = {"nightlight-profile": key, "nightlight-source": source, "nightlight-source-form": SOURCE}
        if (named := profile_id_of(AvatarRequest(asked))) != wanted:
            wrong.append((name, target, wanted, named))
    assert wrong == []


def test_no_other_scheme_reads_a_url(nginx):
    for name, target, _ in NAMED:
        others = {key: value for key, value in sent(nginx, target).items() if key != f"X-{name}" and value != "|"}
        assert others == {}, target


@pytest.mark.parametrize(
    "given",
    [
        {"scheme": "friendster"}, {"scheme": "gravatar"}, {"scheme": "thumbor"}, {"scheme": "plain", "source": "a/{id}"},
        {"path": "avatars/{id}"}, {"path": "/avatars/"}, {"path": "/a/{id}/{id}"}, {"path": "/a/{id}/{shape}"},
        {"path": "/a b/{id}"}, {"path": "/a;/{id}/$x"}, {"path": '/"/{id}'}, {"at": "/x/"}, {"name": "Plain"}, {"name": "a" * 11},
        {"scheme": "mastodon", "at": "/sys"}, {"service": "ftp://x"}, {"service": "http://x;y"}, {"service": "http://a b"},
        {"service": "http://x/?q"}, {"service": "http://user@x"}, {"viewer_cookie": "a-b"}, {"viewer_cookie": "a;b"},
        {"viewer_header": "a b"}, {"viewer_cookie": "a", "viewer_session": "http://x"},
        {"viewer_certificate": True, "viewer_header": "x"}, {"ids": "/x", "ids_url": "http://x"}, {"ids": "relative"},
        {"context": "List"}, {"context": "a;b"}, {"old": "http://x/no-hole"}, {"old": "http://x/{id}?y"}, {"cache": "/a b"},
        {"log": "/a;b"}, {"keep_decisions": 61}, {"keep_decisions": -1}, {"browser": 3601},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_could_mean_something_else_is_refused(given):
    with pytest.raises(InvalidInput):
        files(
            options(**{"service": "http://127.0.0.1:8080", "cache": "/var/cache/nginx", **given}), TOKEN, "/etc/nginx"
        )


def test_a_token_is_long_and_plain():
    asked = options(service="http://127.0.0.1:8080", cache="/var/cache/nginx")
    for token in ("short", 'x"; } # 0123456789012345678901234567890', "x" * 31):
        with pytest.raises(InvalidInput):
            files(asked, token, "/etc/nginx")


def test_the_headers_are_those_of_every_picture():
    locations = files(options(service="http://127.0.0.1:8080", cache="/c"), TOKEN, "/etc/nginx")[
        "plain.locations.conf"
    ].decode()
    written = dict(re.findall(r'add_header (\S+) "([^"]*)" always;', locations))
    assert {name: written.get(name) for name in HEADERS if name != "Accept-Ranges"} == {
        name: value for name, value in HEADERS.items() if name != "Accept-Ranges"
    }
    assert locations.count("add_header X-Robots-Tag") == 1


def test_what_is_no_source_names_nobody():
    for source in (
        "",
        "!",
        "a",
        encoded("s3://media/avatars/.jpg"),
        encoded("s3://media/avatars/" + "x" * 5000 + ".jpg"),
        "_w",
    ):
        asked = SimpleNamespace(text={"source": source, "source-form": SOURCE, "profile": ""}.get)
        assert profile_id_of(asked) == ""


def test_the_platform_changes_ten_lines_at_most():
    page = (Path(__file__).parents[2] / "docs/edge.md").read_text("utf-8")
    diff = page.split("```diff\n")[1].split("```")[0]
    assert 0 < len(re.findall(r"^[+-](?![+-])", diff, re.MULTILINE)) <= 10


def test_the_command_writes_the_files_and_keeps_the_token_to_its_owner(tmp_path, capsys):
    command = ["edge", "nginx", "--viewer-cookie", "viewer", "--out", str(tmp_path), "--json"]
    assert run(app, command) == 0
    written = json.loads(capsys.readouterr().out)
    names = {"plain.http.conf", "plain.locations.conf", "plain.token.conf", "placeholder.webp"}
    assert {Path(path).name for path in written["files"]} == names == {path.name for path in tmp_path.iterdir()}
    token = written["NIGHTLIGHT_AVATARS_EDGE_TOKENS"]
    secret = tmp_path / "plain.token.conf"
    assert (stat.S_IMODE(secret.stat().st_mode), token in secret.read_text()) == (0o600, True)
    assert not any(token in (tmp_path / name).read_text() for name in ("plain.http.conf", "plain.locations.conf"))
    kept = tmp_path / "token"
    kept.write_text(f"{token}\n")
    before = secret.read_text()
    assert run(app, [*command, "--token-file", str(kept)]) == 0
    assert "NIGHTLIGHT_AVATARS_EDGE_TOKENS" not in json.loads(capsys.readouterr().out)
    assert secret.read_text() == before


def test_the_command_prints_without_a_folder_and_lists_schemes(capsys):
    assert run(app, ["edge", "nginx", "--scheme", "mastodon"]) == 0
    printed = capsys.readouterr().out
    assert "# ---- mastodon.http.conf" in printed
    assert "location ^~ /system/accounts/avatars/ {" in printed
    assert run(app, ["edge", "schemes", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(SCHEMES)
    assert run(app, ["edge", "nginx", "--scheme", "friendster", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "invalid_input"
