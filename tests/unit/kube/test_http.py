from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.kube import http

BODIES = st.binary(max_size=200)
CUTS = st.lists(st.integers(0, 600), max_size=12)


def fed(response: http.Response, wire: bytes, cuts: list[int]) -> bytes:
    """The body, where the wire's bytes come in pieces that end at the cuts."""
    places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    return b"".join(response.feed(wire[start:end]) for start, end in pairwise(places))


def chunked(body: bytes, sizes: list[int], trailer: bytes) -> bytes:
    wire, rest = b"", body
    for size in sizes:
        if piece := rest[:size]:
            wire += b"%X;name=value\r\n%s\r\n" % (len(piece), piece)
            rest = rest[size:]
    if rest:
        wire += b"%x\r\n%s\r\n" % (len(rest), rest)
    return wire + b"0\r\n" + trailer + b"\r\n"


def test_a_request_is_its_line_its_headers_and_its_body() -> None:
    wire = http.request("PATCH", "/a?b=c", {"Host": "h", "Accept": "x"}, b"{}")
    assert wire == b"PATCH /a?b=c HTTP/1.1\r\nHost: h\r\nAccept: x\r\nContent-Length: 2\r\n\r\n{}"
    assert http.request("GET", "/", {"Host": "h"}) == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@given(BODIES, CUTS)
def test_a_body_of_told_length_ends_there(body: bytes, cuts: list[int]) -> None:
    response = http.Response()
    head = b"HTTP/1.1 201 Created\r\nContent-Length:%d \r\nX-Y: z\r\n\r\n" % len(body)
    assert fed(response, head + body, cuts) == body
    assert (response.status, response.headers["x-y"]) == (201, "z")
    assert response.is_done
    assert not response.is_last


@given(BODIES, st.lists(st.integers(1, 80)), st.sampled_from([b"", b"A: b\r\n"]), CUTS)
def test_a_body_in_chunks_is_put_together(
    body: bytes, sizes: list[int], trailer: bytes, cuts: list[int]
) -> None:
    response = http.Response()
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
    wire = head + chunked(body, sizes, trailer)
    assert fed(response, wire, cuts) == body
    assert response.is_done
    assert not response.is_last


@given(BODIES, CUTS)
def test_a_body_without_length_ends_with_its_connection(body: bytes, cuts: list[int]) -> None:
    response = http.Response()
    assert fed(response, b"HTTP/1.1 200 OK\r\n\r\n" + body, cuts) == body
    assert not response.is_done
    response.end()
    assert response.is_done
    assert response.is_last


def test_a_body_cut_short_is_not_done() -> None:
    response = http.Response()
    response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
    response.end()
    assert not response.is_done


@pytest.mark.parametrize(
    ("head", "is_last"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore than was asked for", True),
    ],
)
def test_what_may_follow_on_the_same_connection(head: bytes, is_last: bool) -> None:
    response = http.Response()
    assert response.feed(head) == b""
    assert response.is_done
    assert response.is_last == is_last


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbody\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"x" * (1 << 17),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2000,
    ],
)
def test_what_is_not_http_is_said_shortly(wire: bytes) -> None:
    with pytest.raises(http.Malformed) as caught:
        http.Response().feed(wire)
    assert len(str(caught.value)) < 200
