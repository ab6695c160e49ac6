"""Brings a cluster up and down."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import credentials, debiantree, goparts, images, keeper, plan, spec
from tests.cluster.cluster import PATIENCE, Cluster, Machine, until
from weft import errors

ROOT = Path(__file__).resolve().parents[2]
NADS = ROOT / "lab/weft_lab/crds/network-attachment-definitions.yaml"
_ADMIN = "weft-cluster-admin"


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What a cluster is made of, in the cache."""

    tree: Path
    kubernetes: Path
    cni: tuple[Path, ...]


def artifacts(wanted: spec.Cluster) -> Artifacts:
    """Fetched and built if they are not there. Raises Unavailable, which names what is missing.

    A control plane without nodes needs no CNI plugins.
    """
    return Artifacts(
        tree=debiantree.ensure(),
        kubernetes=goparts.build(goparts.RELEASES[wanted.release]),
        cni=tuple(map(goparts.build, (goparts.PLUGINS, goparts.MULTUS))) if wanted.nodes else (),
    )


def folder() -> Path:
    """Where clusters keep their files."""
    parent = os.environ.get("XDG_STATE_HOME") or os.path.join(Path.home(), ".local/state")
    path = Path(parent) / "weft-clusters"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def up(wanted: spec.Cluster, *, lifeline: int = -1) -> Cluster:
    """A cluster with all nodes Ready. It ends when `lifeline` closes; without one, by `down`.

    Raises Unavailable where something is missing, RuntimeError where something does not start.
    """
    _require_root()
    sweep()
    made_of = artifacts(wanted)
    lock = _lock(wanted.name)
    if lock is None:
        raise errors.Unavailable(
            f"a cluster named {wanted.name} runs already",
            where="cluster",
            hint="choose another name",
        )
    state = folder() / wanted.name
    state.mkdir(mode=0o700)
    cluster = Cluster(wanted, state, made_of.kubernetes)
    try:
        _prepare(cluster, made_of)
        _keep(cluster, lock, lifeline)
        _start(cluster)
    except BaseException:
        os.close(lock)
        _save_logs(state)
        down(wanted.name)
        raise
    os.close(lock)
    return cluster


def _require_root() -> None:
    if os.geteuid():
        raise errors.Unavailable(
            "kubelet and containerd need root", where="this user", hint="run it as root"
        )


def running(name: str) -> Cluster | None:
    """The cluster of this name, if it runs."""
    state = folder() / name
    lock = _lock(name)
    if lock is not None:
        os.close(lock)
        return None
    stored = json.loads((state / keeper.LAYOUT).read_text())
    described = keeper.described(stored)
    return Cluster(described, state, Path(stored["kubernetes"]))


def down(name: str) -> None:
    """End a cluster and all that it has left."""
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int((folder() / f"{name}.lock").read_text())
        ended = os.pidfd_open(pid)
        if _lock(name) is None:
            signal.pidfd_send_signal(ended, signal.SIGTERM)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                pool.submit(select.select, [ended], [], [], PATIENCE).result()
        os.close(ended)
    sweep()


def sweep() -> None:
    """Remove what clusters have left whose keepers were killed."""
    for path in folder().glob("*.lock"):
        lock = _lock(path.stem)
        if lock is not None:
            state = folder() / path.stem
            if state.is_dir():
                keeper.clean(state)
            if not state.is_dir():
                path.unlink(missing_ok=True)
            os.close(lock)


def _lock(name: str) -> int | None:
    """The lock of a cluster's name; None while its keeper, or who brings it up, holds it."""
    path = folder() / f"{name}.lock"
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)  # somebody has just removed it: once more


def _prepare(cluster: Cluster, made_of: Artifacts) -> None:
    """All files, before anything runs."""
    authority = credentials.Authority(cluster.spec.name)
    shared: dict[str, dict[str, str]] = {}
    for name in cluster.spec.machines:
        own = plan.folders(name)
        shared[name] = {place: str(cluster.state / name / below) for place, below in own.items()}
        for path in shared[name].values():
            Path(path).mkdir(parents=True)
    _write(shared[spec.CONTROL], plan.control_files(cluster.spec, authority))
    for node in cluster.spec.members:
        _write(shared[node.name], plan.node_files(cluster.spec, node, authority))
        for programs in made_of.cni:
            for program in programs.iterdir():
                shutil.copy(program, shared[node.name]["/opt/cni/bin"])
    layout = {
        "cluster": dataclasses.asdict(cluster.spec),
        "tree": str(made_of.tree),
        "kubernetes": str(made_of.kubernetes),
        "shared": shared,
        "read_only": {"/usr/local/bin": str(made_of.kubernetes)},
    }
    (cluster.state / keeper.LAYOUT).write_text(json.dumps(layout, indent=1))
    archive = cluster.state / "busybox.tar"
    images.busybox(made_of.tree / "usr/bin/busybox", plan.SANDBOX_IMAGE, archive)
    cluster.kubeconfig.touch(0o600)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    text = authority.kubeconfig(f"https://127.0.0.1:{port}", _ADMIN, ["system:masters"])
    cluster.kubeconfig.write_text(text)


def _write(places: dict[str, str], files: dict[str, bytes]) -> None:
    for place, data in files.items():
        above = max((each for each in places if place.startswith(f"{each}/")), key=len)
        path = Path(places[above]) / place.removeprefix(f"{above}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(data)


def _keep(cluster: Cluster, lock: int, lifeline: int) -> None:
    """Start the keeper, and wait until the machines are there."""
    server = json.loads(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(server.rpartition(":")[2])))
    reader, ready = os.pipe2(os.O_CLOEXEC)
    kept = [listener.fileno(), lifeline, ready]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'lab'}"}
    with listener, (cluster.state / "keeper.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.keeper", str(cluster.state), *map(str, kept)],
            cwd=ROOT,
            env=env,
            pass_fds=[lock, *(number for number in kept if number >= 0)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    os.close(ready)
    os.truncate(lock, 0)
    os.pwrite(lock, str(child.pid).encode(), 0)
    came = os.read(reader, 1)
    os.close(reader)
    if not came:
        child.wait()
        raise RuntimeError("the cluster's machines cannot be made")


def _start(cluster: Cluster) -> None:
    """The control plane, then all nodes at once."""
    control = cluster.machine(spec.CONTROL)
    for name, commands in plan.routes(cluster.spec).items():
        for command in commands:
            cluster.machine(name).run(*command)
    for service in plan.control(cluster.spec):
        control.start(service)
        if service.name == "kube-apiserver":
            until(lambda: _is_ready(cluster), "the API server to be ready")
    cluster.kubectl("apply", "-f", "-", data=json.dumps(_list(plan.MULTUS_ACCESS)))
    cluster.kubectl("apply", "-f", str(NADS))  # Multus brings it, and waits for it
    if not cluster.nodes:
        return
    with concurrent.futures.ThreadPoolExecutor(len(cluster.nodes)) as pool:
        list(pool.map(lambda node: _start_node(cluster, node), cluster.spec.members))
    names = [f"nodes/{node.name}" for node in cluster.spec.members]
    # `kubectl wait --for=create` of the oldest release fails at once where a node is missing.
    until(lambda: _are_there(cluster, names), "all nodes to register")
    cluster.kubectl("wait", "--for=condition=Ready", *names, f"--timeout={PATIENCE:.0f}s")


def _are_there(cluster: Cluster, names: Sequence[str]) -> bool:
    found = cluster.kubectl("get", "--ignore-not-found", "--output=name", *names)
    return len(found.split()) == len(names)


def _list(items: Sequence[object]) -> object:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def _start_node(cluster: Cluster, node: spec.Node) -> None:
    one = cluster.machine(node.name)
    for service in plan.node(cluster.spec, node):
        if service.name == "multus":
            _give_account(cluster, one)
        if service.name == "kubelet":
            until(lambda: _is_configured(one), f"Multus to configure itself on {node.name}")
        one.start(service)
        if service.name == "containerd":
            cluster.import_image(cluster.state / "busybox.tar", [node.name])


def _is_configured(one: Machine) -> bool:
    """Whether Multus is there; without it a kubelet would start pods with one network."""
    if (one.folder / "cni/net.d/00-multus.conf").exists():
        return True
    if "multus" not in one.running():
        raise RuntimeError(f"{one.name}: Multus has ended\n{one.log('multus')}")
    return False


def _give_account(cluster: Cluster, one: Machine) -> None:
    """The files by which a pod knows its service account: Multus runs as if in one."""
    account = one.folder / "multus-account"
    token = cluster.kubectl("-n", "kube-system", "create", "token", "multus", "--duration=24h")
    (account / "token").write_text(token.strip())
    (account / "namespace").write_text("kube-system")
    shutil.copy(one.folder / "kubernetes/ca.crt", account / "ca.crt")


def _is_ready(cluster: Cluster) -> bool:
    if "kube-apiserver" not in cluster.machine(spec.CONTROL).running():
        raise RuntimeError(cluster.machine(spec.CONTROL).log("kube-apiserver"))
    config = json.loads(cluster.kubeconfig.read_text())
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = config["clusters"][0]["cluster"]["server"]
    try:
        with urllib.request.urlopen(f"{server}/readyz", context=context, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _save_logs(state: Path) -> None:
    """Print the end of each log: the folder goes away with the cluster."""
    for path in sorted((*state.glob("*.log"), *state.glob("*/log/*.log"))):
        if path.name == "audit.log":
            continue
        print(f"--- {path.relative_to(state)}", file=sys.stderr)
        print("\n".join(path.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)
