import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.matching import list_files
from nightlight.matching.list_files import read_hash_list
from nightlight_core.errors import InvalidInput

FIRST, TWO, THREE = ("ab" * 32, "cd" * 32, "0123456789abcdef" * 4)


@pytest.fixture
def written(tmp_path):
    def write(text, *, encoding="utf-8"):
        path = tmp_path / "list.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        f"hash\n{FIRST}\n{TWO}\n",
        f"{FIRST}\n{TWO}",
        f"\ufeffHASH,note\r\n{FIRST.upper()},x\r\n{TWO},y\r\n",
        f'id,hash,quality\n1,"{FIRST}",100\n\n2,{TWO},\n',
        f"quality, hash ,reference\n90, {FIRST} ,r1\n50,{TWO},r2\n50,{TWO},again\n",
    ],
)
def test_a_list_is_read_whatever_its_other_columns(written, text):
    hash_list = read_hash_list(written(text), "theirs")
    assert [row.tobytes().hex() for row in hash_list.hashes] == [FIRST, TWO]
    assert hash_list.left_out == 0


def test_references_are_kept_and_pictures_with_nothing_in_them_left_out(written):
    hash_list = read_hash_list(written(f"hash,quality,reference\n{FIRST},49,a\n{TWO},50,b\n{THREE},,c\n"), "theirs")
    assert hash_list.references == ("b", "c")
    assert hash_list.left_out == 1


def test_md5s_stand_beside_hashes_or_alone(written):
    text = f"hash,md5,reference\n{FIRST},{TWO[:32].upper()},a\n,{FIRST[:32]},b\n,{FIRST[:32]},again\n{THREE},,c\n"
    hash_list = read_hash_list(written(text), "theirs")
    assert [row.tobytes().hex() for row in hash_list.hashes] == [FIRST, THREE]
    assert hash_list.references == ("a", "c")
    assert hash_list.md5s == ((bytes.fromhex(FIRST[:32]), "b"), (bytes.fromhex(TWO[:32]), "a"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"hash\n{FIRST}\n{FIRST[:-1]}\n", "list.csv:3: a hash is 64 hexadecimal digits"),
        (f"hash\n{FIRST}x\n", "list.csv:2: a hash is"),
        (f"hash,quality\n{FIRST},101\n", "list.csv:2: a quality is"),
        (f"hash,quality\n{FIRST},-1\n", "list.csv:2: a quality is"),
        (f"hash,quality\n{FIRST},٣\n", "list.csv:2: a quality is"),
        (f"hash,reference\n{FIRST},{'r' * 201}\n", "list.csv:2: a reference is"),
        (f"hash,reference\n{FIRST},a\x07b\n", "list.csv:2: a reference is"),
        (f"sha1,name\n{FIRST},x\n", "no column is called 'hash' or 'md5'; there are sha1, name"),
        (f"md5,name\n{FIRST},x\n", "list.csv:2: an MD5 is 32 hexadecimal digits"),
        (f"hash,md5\nab,{FIRST[:32]}\n", "list.csv:2: a hash is"),
        ("hash,md5\n,\n", "list.csv:2: a hash is"),
        ("hash\n" + "z\n" * 15, "and 5 more lines"),
        (f"hash\n{'a' * 5000}\n", "more than 4000 characters"),
        (b"hash\n\xff\xfe\n", "can't decode"),
        (f'hash\n"{FIRST}\n', "unexpected end of data"),
        (f"hash\n{FIRST[:-2]}\x00\n", "list.csv"),
    ],
)
def test_a_list_with_a_line_that_cannot_be_read_is_refused_whole(written, text, message):
    with pytest.raises(InvalidInput) as refused:
        read_hash_list(written(text), "theirs")
    assert message in str(refused.value)


def test_a_list_that_is_not_there_or_too_long_is_refused(tmp_path, written, monkeypatch):
    with pytest.raises(InvalidInput, match="No such file"):
        read_hash_list(tmp_path / "absent.csv", "theirs")
    monkeypatch.setattr(list_files, "MAX_LINES", 3)
    with pytest.raises(InvalidInput, match="more than 3 lines"):
        read_hash_list(written("hash\n" + f"{FIRST}\n" * 3), "theirs")


def test_an_empty_list_is_a_list(written):
    for text in ("", "hash\n"):
        assert read_hash_list(written(text), "theirs").hashes.shape == (0, 32)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_list_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("list") / "list.csv"
    path.write_bytes(data)
    try:
        hash_list = read_hash_list(path, "theirs")
    except InvalidInput:
        return
    assert hash_list.hashes.shape == (len(hash_list.references), 32)
