"""Tokens, the kubeconfig, certificates, logs and the journal: what is read and written."""

import asyncio
import io
import sqlite3
import ssl
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.tests.support.memory_cluster import World, config, pod
from weft import errors
from weft_lab.apiserver import auth, certificates, kubeconfig, logs, main, seed, sqlite, status


def test_tokens() -> None:
    found = auth.parse_tokens('t1\n# no\n\nt2,bob,7,"a,b"\n')
    assert found["t1"].name == "admin"
    assert found["t2"] == auth.User("bob", "7", ("a", "b", "system:authenticated"))
    assert auth.identify(found, "Bearer t2").name == "bob"
    for header in (None, "", "Bearer", "Bearer t3", "Basic t1"):
        with pytest.raises(status.ApiError, match="Unauthorized"):
            auth.identify(found, header)


def test_a_token_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "a" / "tokens"
    token = auth.ensure_tokens(path)
    assert auth.ensure_tokens(path) == token
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_kubeconfig_is_whole(tmp_path: Path) -> None:
    text = kubeconfig.render("https://h:1", "secret", authority=b"ca", name="lab")
    found = orjson.loads(text)
    assert found["current-context"] == "lab"
    assert found["users"][0]["user"]["token"] == "secret"
    assert found["clusters"][0]["cluster"]["certificate-authority-data"] == "Y2E="
    path = tmp_path / "new" / "config"
    kubeconfig.write(path, text)
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_certificates_are_made_once_and_grow(tmp_path: Path) -> None:
    context = certificates.context(tmp_path, ["10.0.0.1"])
    assert isinstance(context, ssl.SSLContext)
    authority, first = certificates.authority(tmp_path), (tmp_path / "server.crt").read_bytes()
    certificates.ensure(tmp_path)
    assert (tmp_path / "server.crt").read_bytes() == first
    certificates.ensure(tmp_path, ["lab.example"])
    assert (tmp_path / "server.crt").read_bytes() != first
    assert certificates.authority(tmp_path) == authority
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600


def test_which_container() -> None:
    one = pod()
    assert logs.choose_container(one, "") == "main"
    two = pod(containers=[{"name": "a"}, {"name": "b"}], initContainers=[{"name": "i"}])
    assert logs.choose_container(two, "i") == "i"
    with pytest.raises(status.ApiError, match=r"choose one of: \[a b\]"):
        logs.choose_container(two, "")
    with pytest.raises(status.ApiError, match="container c is not valid"):
        logs.choose_container(two, "c")


def part(data: bytes, **query: str) -> bytes:
    found = logs.choose(io.BytesIO(data), query)
    assert found.size == len(data)
    return data[found.start : found.end]


def test_which_part_of_a_log() -> None:
    data = b"1\n2\n3"
    assert part(data) == data
    assert part(data, tailLines="2") == b"2\n3"
    assert part(data, tailLines="0") == b""
    assert part(data, limitBytes="1") == b"1"
    assert part(data, limitBytes="99", tailLines="1") == b"3"


@given(st.lists(st.sampled_from([b"", b"a", b"bc" * 40_000])), st.booleans(), st.integers(0, 9))
def test_the_last_lines_are_read_from_the_end(lines: list[bytes], ended: bool, last: int) -> None:
    data = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    whole = data.splitlines(keepends=True)
    assert part(data, tailLines=str(last)) == (b"".join(whole[-last:]) if last else b"")


def test_the_tail_of_a_long_log_costs_no_more_than_its_lines() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    file = Counting(b"x\n" * 5_000_000)
    logs.choose(file, {"tailLines": "3"})
    assert file.taken <= 64 * 1024


def test_listeners() -> None:
    found = main.parse_listener("https://[::1]:8443")
    assert (found.host, found.port, found.tls) == ("::1", 8443, True)
    assert main.parse_listener("http://127.0.0.1:80").tls is False


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "api.db"
    path.write_text("this is not a database, but long enough to be looked at" * 20)
    with pytest.raises(errors.Unavailable, match="cannot be opened") as caught:
        sqlite.open_database(path)
    assert caught.value.hint


async def test_one_turn_of_the_loop_is_one_transaction() -> None:
    world = await World.begin()
    seen: list[str] = []
    connection = world.cluster.journal._connection
    connection.set_trace_callback(seen.append)
    for number in range(10):
        world.create("configmaps", config(f"c{number}"))
    await asyncio.gather(*(world.cluster.journal.durable() for _ in range(5)))
    assert seen.count("COMMIT") == 1
    stored = connection.execute("SELECT count(*) FROM objects WHERE resource = 'configmaps'")
    assert stored.fetchone() == (10,)


def test_all_that_is_stored_is_its_owners_alone(tmp_path: Path) -> None:
    connection = sqlite.open_database(tmp_path / "api.db")
    connection.execute("INSERT INTO facts VALUES ('a', 'b')")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes.keys() == {"api.db", "api.db-wal", "api.db-shm"}
    assert set(modes.values()) == {0o600}
    connection.close()


async def test_nobody_is_told_before_it_is_stored() -> None:
    world = await World.begin()
    told: list[str] = []
    world.cluster.listeners.append(lambda change: told.append(change.item.key[1]))
    world.create("configmaps", config("a"))
    assert told == []
    await world.cluster.journal.durable()
    assert told == ["a"]


async def test_a_failed_write_is_told_to_all_who_wait() -> None:
    world = await World.begin()
    watching = asyncio.ensure_future(world.cluster.journal.failure())
    await asyncio.sleep(0)
    world.cluster.journal._connection.execute("DROP TABLE objects")
    world.create("configmaps", config("a"))
    with pytest.raises(errors.Unavailable, match="refuses writes"):
        await world.cluster.journal.durable()
    with pytest.raises(errors.Unavailable):
        await watching


async def test_manifests_are_installed_once(tmp_path: Path) -> None:
    world = await World.begin()
    path = tmp_path / "a.yaml"
    path.write_text("""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.x.io}
spec:
  group: x.io
  scope: Cluster
  names: {plural: things, kind: Thing}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
""")
    await seed.manifests(world.cluster, [tmp_path])
    assert world.cluster.registry.get("things.x.io")
    revision = world.cluster.store.revision
    await seed.manifests(world.cluster, [tmp_path])
    assert world.cluster.store.revision == revision
    path.write_text(path.read_text().replace("Thing}", "Thing, shortNames: [th]}"))
    await seed.manifests(world.cluster, [tmp_path])
    resource = world.cluster.registry.get("things.x.io")
    assert resource
    assert resource.short == ("th",)
    world.delete("customresourcedefinitions", "things.x.io")
    await world.settle()
    await seed.manifests(world.cluster, [tmp_path])
    assert world.cluster.registry.get("things.x.io")
    path.write_text("a: [")
    with pytest.raises(errors.InvalidInput, match="is not valid YAML"):
        await seed.manifests(world.cluster, [tmp_path])


async def test_what_is_stored_comes_back() -> None:
    world = await World.begin()
    world.create("configmaps", config("a"))
    await world.cluster.journal.durable()
    kept = sqlite3.connect(":memory:", isolation_level=None)
    world.cluster.journal._connection.backup(kept)
    again = World(kept)
    assert again.get("configmaps", "a") == world.get("configmaps", "a")
    assert again.cluster.store.revision == world.cluster.store.revision
