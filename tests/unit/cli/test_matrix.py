import json
from pathlib import Path

import pytest

from tests.support.reach import matrix as made
from tests.support.reach import member
from weft import errors
from weft.cli import matrix
from weft.observe.reach import ProbeResult
from weft.policy.netpolicy import Connection, Protocol


@pytest.mark.parametrize(
    ("port", "question"),
    [
        ("", Connection(None)),
        ("tcp/80", Connection(Protocol.TCP, 80)),
        ("UDP/53", Connection(Protocol.UDP, 53)),
        ("sctp/65535", Connection(Protocol.SCTP, 65535)),
        ("443", Connection(Protocol.TCP, 443)),
    ],
)
def test_the_question(port: str, question: Connection) -> None:
    assert matrix.question(port) == question


@pytest.mark.parametrize(
    "port", ["http", "tcp/", "tcp/0", "tcp/65536", "icmp/1", "tcp/-1", "1/2/3"]
)
def test_a_question_that_cannot_be_asked(port: str) -> None:
    with pytest.raises(errors.InvalidInput, match="--port"):
        matrix.question(port)


def test_the_document_for_scripts() -> None:
    members = [member("a", "10.9.0.1"), member("b", "10.9.0.2", machine="vm")]
    seen = {"default/a": ProbeResult.ANSWERED, "default/b": ProbeResult.UNKNOWN}
    told = json.loads(
        json.dumps(matrix.data(made(members, lambda *_: False, lambda source, _: seen[source])))
    )
    assert (told["network"], told["protocol"], told["port"]) == ("blue", "ICMP", None)
    assert (told["measured"], told["holds"]) == (True, False)
    assert [one["vm"] for one in told["members"]] == [None, "vm"]
    first, second = told["pairs"]
    assert first["addresses"] == ["10.9.0.1", "10.9.0.2"]
    assert (first["expected"], first["measured"], first["differs"]) == (False, True, True)
    assert (second["seen"], second["measured"], second["differs"]) == ("unknown", None, False)
    assert matrix.data(made(members))["holds"] is None


def test_an_output_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="--output"):
        matrix.command("blue", output="picture.png")
