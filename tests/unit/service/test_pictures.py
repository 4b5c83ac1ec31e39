from hypothesis import given
from hypothesis import strategies as st

from nightlight.flows.decisions.serve import Picture
from service.routes.rendition_files import picture_response

DATA = bytes(range(200))
PICTURE = Picture(DATA, "image/webp", '"e"', 60)


@given(st.text(max_size=40))
def test_any_range_header_gives_a_part_the_whole_or_416(header):
    response = picture_response(PICTURE, None, header, None)
    assert response.status_code in {200, 206, 416}
    assert response.body in {b"", DATA} or response.body in DATA


@given(st.integers(0, 400), st.integers(0, 400))
def test_a_range_gives_exactly_its_bytes(first, last):
    response = picture_response(PICTURE, None, f"bytes={first}-{last}", None)
    if last < first:
        assert (response.status_code, response.body) == (200, DATA)
    elif first >= len(DATA):
        assert response.status_code == 416
        assert response.headers["content-range"] == "bytes */200"
    else:
        assert (response.status_code, response.body) == (206, DATA[first : last + 1])
        assert response.headers["content-length"] == str(len(response.body))


@given(st.integers(0, 400))
def test_a_suffix_range_gives_the_end(length):
    response = picture_response(PICTURE, None, f"bytes=-{length}", None)
    assert response.body == (DATA[-length:] if length else b"")


@given(st.text(max_size=40))
def test_any_if_none_match_gives_the_whole_or_nothing(header):
    assert picture_response(PICTURE, header, None, None).status_code in {200, 304}


def test_an_answer_that_nobody_may_keep():
    assert (
        picture_response(Picture(DATA, "image/webp", '"e"', 0), None, None, None).headers["cache-control"] == "no-store"
    )
