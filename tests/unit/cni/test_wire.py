"""What the agent refuses to read."""

import pytest

from weft.cni import wire


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"weft-cni 1 2\n",
        b"weft-cni 1 2 3",
        b"weft-cni 2 0 0\n",
        b"weft-cni 1 -1 0\n",
        b"weft-cni 1 0x1 0\n",
        b"weft-cni 1 0 %d\n" % (wire.MAX_CONFIG + 1),
        b"weft-cni 1 %d 0\n" % (wire.MAX_ENV + 1),
    ],
)
def test_malformed(line: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.parse_head(line)


def test_reply() -> None:
    assert wire.frame_reply(1, b"{}") == b"1 2\n{}"
    assert wire.frame_reply(0, b"") == b"0 0\n"
