"""Forms that uploads come in: what an HTTP library may write is read, and what is wrong with another is said."""

import httpx
import pytest

from tests.support import pictures

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

FORM = "multipart/form-data"
PICTURE = pictures.jpeg(64, 64)


@pytest.fixture(scope="module")
def profile(client):
    client.declare("upload-forms", band="adult", assurance="verified", region="eu")
    return "upload-forms"


def part(disposition, data=PICTURE, *more):
    return (
        b"--x\r\nContent-Disposition: form-data; " + disposition + b"\r\n" + b"".join(more) + b"\r\n" + data + b"\r\n"
    )


FILE = part(b'name="file"; filename="a.jpg"')
CROP = part(b'name="crop"', b"0,0,32,32")
END = b"--x--\r\n"


def send(stack, client, profile, content_type, body):
    headers = {"Authorization": f"Bearer {client._token()}"} | ({"Content-Type": content_type} if content_type else {})
    return httpx.post(f"{stack.url}/v1/profiles/{profile}/image", content=body, headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        FILE + END,
        part(b'name="file"') + END,
        part(b"name=file") + END,
        part(b'name="file"; filename=""') + END,
        part(b"name=\"file\"; filename*=UTF-8''%e2%82%ac.jpg") + END,
        part(b'name="file"; filename="../../etc/passwd"') + END,
        part(b'name="file"', PICTURE, b"Content-Type: application/octet-stream\r\n") + END,
        CROP + FILE + END,
        FILE + CROP + END,
        FILE + END + b"an epilogue",
    ],
)
def test_a_form_with_one_file_is_taken(stack, client, profile, body):
    answer = send(stack, client, profile, f"{FORM}; boundary=x", body)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(
    ("content_type", "body", "words", "pointer"),
    [
        ("", FILE + END, "no Content-Type", None),
        ("application/json", b"{}", "multipart/form-data with one part named 'file', not 'application/json'", None),
        ("multipart/form-data-x; boundary=x", FILE + END, "must be multipart/form-data", None),
        ("multipart/mixed; boundary=x", FILE + END, "must be multipart/form-data", None),
        (FORM, FILE + END, "no boundary", None),
        (f"{FORM}; boundary=", FILE + END, "no boundary", None),
        (f"{FORM}; boundary=x", b"", "ends before its last boundary", None),
        (f"{FORM}; boundary=x", END, "no part named 'file'; its parts: none", "/file"),
        (f"{FORM}; boundary=x", b"garbage", "cannot be read", None),
        (f"{FORM}; boundary=y", FILE + END, "cannot be read", None),
        (f"{FORM}; boundary={'x' * 300}", FILE + END, "cannot be read", None),
        (f"{FORM}; boundary=x", part(b'nome="file"') + END, "cannot be read", None),
        (f"{FORM}; boundary=x", CROP + END, "no part named 'file'; its parts: 'crop'", "/file"),
        (f"{FORM}; boundary=x", part(b'name="image"; filename="a.jpg"') + END, "its parts: 'image'", "/file"),
        (f"{FORM}; boundary=x", FILE + FILE + END, "2 files; send one", "/file"),
        (f"{FORM}; boundary=x", FILE + part(b'name="file"') + END, "2 files; send one", "/file"),
        (f"{FORM}; boundary=x", FILE + part(b'name="more"; filename="b"') + END, "2 files; send one", "/file"),
        (f"{FORM}; boundary=x", FILE * 9 + END, "cannot be read: Too many files", None),
        (
            f"{FORM}; boundary=x",
            FILE + part(b'name="note"', b"1") + END,
            "named 'note'; known: 'file' and 'crop'",
            None,
        ),
        (f"{FORM}; boundary=x", FILE + CROP + CROP + END, "'crop' is one short text", "/crop"),
        (f"{FORM}; boundary=x", FILE + part(b'name="crop"', b"1" * 5_000) + END, "cannot be read", None),
        (f"{FORM}; boundary=x", FILE + part(b'name="crop"', b"all of it") + END, "four whole numbers", "/crop"),
    ],
)
def test_what_is_wrong_with_a_form_is_said(stack, client, profile, content_type, body, words, pointer):
    answer = send(stack, client, profile, content_type, body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input"), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in problem["detail"]
    assert [error["pointer"] for error in problem.get("errors", ())] == ([pointer] if pointer else [])


@pytest.mark.parametrize("missing", [1, 2, 200, len(PICTURE)])
def test_a_form_that_ends_early_is_refused(stack, client, profile, missing):
    body = FILE + END.rstrip(b"\r\n")
    answer = send(stack, client, profile, f"{FORM}; boundary=x", body[:-missing])
    assert answer.status_code == 422
    assert "ends before its last boundary" in answer.json()["detail"]
