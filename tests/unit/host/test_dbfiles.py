"""Which database files are put aside, and what is left where a new one cannot be made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
import pytest

from weft import errors
from weft.host import dbfiles


def database(version: str = "7.1.0", rest: bytes = b"") -> bytes:
    schema = orjson.dumps({"name": "OVN_Northbound", "version": version, "cksum": "1 2"})
    digest = hashlib.sha1(schema, usedforsecurity=False).hexdigest()
    return f"OVSDB JSON {len(schema)} {digest}\n".encode() + schema + rest


NEW = database()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"nonsense", "has a broken header"),
        (b"X" + NEW[1:], "has a broken header"),
        (NEW[:-3], "has a broken header"),
        (NEW[:-3] + b"xxx", "has a broken header"),
        (b"OVSDB CLUSTER 3 " + b"0" * 40 + b"\n{}", "has a broken header"),
        (
            database("5.0.0"),
            "has schema OVN_Northbound 5.0.0, the server needs OVN_Northbound 7.1.0",
        ),
    ],
)
def test_a_file_that_no_server_opens_is_put_aside(tmp_path: Path, data: bytes, what: str) -> None:
    path, template = tmp_path / "db", tmp_path / "template"
    path.write_bytes(data)
    template.write_bytes(NEW)
    message = dbfiles.mend(path, template, shown="/run/db")
    assert message.startswith(f"it {what}")
    assert message.endswith("it was made anew, the old one is /run/db.broken")
    assert path.read_bytes() == NEW
    assert (tmp_path / "db.broken").read_bytes() == data
    assert dbfiles.mend(path, template, shown="/run/db") == ""


def test_a_sound_file_is_left_alone_unless_its_server_cannot_use_it(tmp_path: Path) -> None:
    path, template = tmp_path / "db", tmp_path / "template"
    path.write_bytes(database(rest=b"what was written since"))
    template.write_bytes(NEW)
    assert dbfiles.mend(path, template, shown="/run/db") == ""
    assert b"since" in path.read_bytes()
    assert "its server ended" in dbfiles.mend(
        path, template, shown="/run/db", corruption="its server ended"
    )
    assert path.read_bytes() == NEW


def test_what_stands_there_stays_where_a_new_one_cannot_be_made(tmp_path: Path) -> None:
    path, template = tmp_path / "db", tmp_path / "template"
    path.write_bytes(b"nonsense")
    template.write_bytes(NEW)
    (tmp_path / ".db.new").mkdir()
    with pytest.raises(errors.Unavailable, match="broken header, and a new one cannot be made"):
        dbfiles.mend(path, template, shown="/run/db")
    assert path.read_bytes() == b"nonsense"
