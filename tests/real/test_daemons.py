"""The file that a database server of a node starts with, made and mended by OVN's own tools."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from weft import errors
from weft.app import daemons
from weft.ovn import daemons as argv

if TYPE_CHECKING:
    from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.real


@pytest.fixture(params=["nb", "sb", "ovsdb"])
def database(
    request: pytest.FixtureRequest,
    toolchain: Toolchain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> argv.Database:
    monkeypatch.setenv("PATH", f"{toolchain.bin}:/usr/bin:/bin")
    monkeypatch.setattr(daemons, "SCHEMAS", (toolchain.schemas,))
    known = argv.DATABASES[request.param]
    return replace(known, path=str(tmp_path / "run/x.db"), socket=str(tmp_path / "x.sock"))


def ask(toolchain: Toolchain, database: argv.Database, operations: str) -> str:
    tool = toolchain.program("ovsdb-tool")
    question = f'["{database.database}", {operations}]'
    return subprocess.run(
        [tool, "transact", database.path, question], capture_output=True, text=True, check=True
    ).stdout


def rows_of(toolchain: Toolchain, database: argv.Database) -> str:
    table = {"nb": "NB_Global", "sb": "SB_Global", "ovsdb": "Open_vSwitch"}[database.name]
    what = f'"table":"{table}","where":[],"columns":["_uuid"]'
    return ask(toolchain, database, f'{{"op":"select",{what}}}')


def test_a_database_that_is_missing_is_made_with_its_one_row(
    toolchain: Toolchain, database: argv.Database
) -> None:
    daemons.prepare(database)
    assert rows_of(toolchain, database).count('"uuid"') == 1
    names = [path.name for path in Path(database.path).parent.iterdir()]
    assert sorted(names) == [".x.db.~lock~", "x.db"]


def test_one_that_is_whole_stays(toolchain: Toolchain, database: argv.Database) -> None:
    daemons.prepare(database)
    before = rows_of(toolchain, database)
    daemons.prepare(database)
    assert rows_of(toolchain, database) == before


def test_one_that_no_server_can_read_is_made_anew_and_kept_aside(
    toolchain: Toolchain, database: argv.Database, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(database.path)
    path.parent.mkdir()
    path.write_bytes(b"nonsense")
    caplog.set_level("INFO")
    daemons.prepare(database)
    assert rows_of(toolchain, database).count('"uuid"') == 1
    assert path.with_name("x.db.broken").read_bytes() == b"nonsense"
    assert "was made anew" in caplog.text


def test_without_its_schema_it_says_where_to_run(
    database: argv.Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(daemons, "SCHEMAS", (tmp_path,))
    with pytest.raises(errors.Unavailable, match="ovsschema is missing"):
        daemons.prepare(database)


@pytest.mark.parametrize(
    ("mode", "has_one", "hosts"),
    [
        (daemons.Switch.auto, True, True),
        (daemons.Switch.auto, False, False),
        (daemons.Switch.own, True, False),
        (daemons.Switch.host, False, True),
    ],
)
def test_whose_switch_a_node_uses(
    mode: daemons.Switch,
    has_one: bool,
    hosts: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "conf.db"
    if has_one:
        file.touch()
    monkeypatch.setattr(daemons, "HOST_DATABASE", file)
    monkeypatch.setattr(daemons, "SWITCH_SOCKET", tmp_path / "db.sock")
    assert daemons.is_hosts(mode) is hosts


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("own", ["", "conf.db", "db.ctl"])
def test_a_switch_that_answers_and_is_not_wefts_is_the_hosts(
    answers: bool, own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "HOST_DATABASE", tmp_path / "etc")
    monkeypatch.setattr(daemons, "SWITCH_SOCKET", tmp_path / "db.sock")
    monkeypatch.setattr(daemons, "OWN_FILES", (tmp_path / "conf.db", tmp_path / "db.ctl"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "db.sock"))
        if answers:
            server.listen()
        if own:
            (tmp_path / own).touch()
        assert daemons.is_hosts(daemons.Switch.auto) is (answers and not own)


def test_roots_group_may_write_in_a_folder_that_is_shared(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"")
    (tmp_path / "elsewhere").symlink_to("/etc/hostname")
    (tmp_path / "x.db").chmod(0o600)
    before = Path("/etc/hostname").stat().st_mode
    daemons.share(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o770
    assert (tmp_path / "x.db").stat().st_mode & 0o777 == 0o660
    assert Path("/etc/hostname").stat().st_mode == before
