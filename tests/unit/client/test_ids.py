"""Ids of a platform: the same are taken by Python, by pydantic and by the TypeScript client, and paths carry them."""

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from nightlight_client.paths import path
from nightlight_core import ids
from nightlight_core.errors import InvalidInput
from service.profile_ids import EncodedPath, ProfileIdText
from tests.conftest import ROOT
from tests.support.hostile_ids import NOT_IDS, ODD_IDS

BODY = TypeAdapter(ProfileIdText)


def taken_by_pydantic(text):
    try:
        return BODY.validate_python(text) == text
    except ValidationError:
        return False


@pytest.mark.parametrize("text", ODD_IDS, ids=ascii)
def test_what_is_odd_is_an_id(text):
    assert ids.is_profile_id(text)
    assert ids.parse_profile_id(text) == text
    assert taken_by_pydantic(text)
    assert path("/v1/profiles/{profile_id}", profile_id=text).count("/") == 3


@pytest.mark.parametrize("text", NOT_IDS, ids=lambda text: ascii(text)[:30])
def test_what_cannot_be_carried_is_none(text):
    assert not ids.is_profile_id(text)
    if isinstance(text, str):
        with pytest.raises(InvalidInput) as refused:
            ids.parse_profile_id(text)
        assert refused.value.public_detail.isprintable()
        assert refused.value.public_detail.isascii()
    if isinstance(text, str):
        assert not taken_by_pydantic(text)


def test_python_and_pydantic_agree_on_every_character():
    characters = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]
    assert [c for c in characters if c != "." and ids.is_profile_id(c) != taken_by_pydantic(c)] == []
    lines_and_controls = [c for c in characters if unicodedata.category(c) in {"Cc", "Zl", "Zp"}]
    directions = [
        c
        for c in characters
        if unicodedata.bidirectional(c) in {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    ]
    assert not any(ids.is_profile_id(c) for c in [*lines_and_controls, *directions])
    assert all(
        ids.is_profile_id(c) for c in characters if unicodedata.category(c)[0] in "LNPS" and c not in ".\ufffc\ufffd"
    )


def test_typescript_refuses_the_same_characters():
    source = (ROOT / "clients/typescript/src/ids.ts").read_text("utf-8")
    unseen = "".join(re.findall(r'"(\\\\u[^"]*)"', source)).replace("\\\\", "\\")
    assert unseen == ids._REFUSED.pattern.strip("[]")
    assert f"{{1,{ids.MAX_PROFILE_ID_CHARS}}}" in source


@pytest.mark.parametrize("length", [1, 256, 257])
@pytest.mark.parametrize("character", ["a", "\u00e9", "\U0001f47b"])
def test_the_length_counts_characters_and_fits_a_key_of_s3(character, length):
    text = character * length
    assert ids.is_profile_id(text) == (length <= 256) == taken_by_pydantic(text)
    assert length > 256 or len(text.encode()) <= 1024


@given(st.text(min_size=1, max_size=300))
def test_a_path_gives_back_the_id_that_it_was_made_of(text):
    if not ids.is_profile_id(text):
        return
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["path"])

    sent = path("/v1/profiles/{profile_id}/image", profile_id=text)
    scope = {"type": "http", "path": "", "raw_path": sent.encode()}
    with pytest.raises(StopIteration):
        EncodedPath(app)(scope, None, None).send(None)
    route = seen[0] or sent
    _, _, _, part, last = route.split("/")
    from service.profile_ids import _decoded

    assert (_decoded(part), last) == (text, "image")
