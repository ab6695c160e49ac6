"""A cluster by hand: up, down, build, kubectl, helm, exec, restart, import; see README.md."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cluster import cluster, debiantree, goparts, life, spec
from weft import errors

TOOLS = ("kubectl", "helm")


def main() -> int:
    chosen = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is half made is undone
    try:
        return _run(chosen)
    except errors.WeftError as error:
        print(error, file=sys.stderr)
    except RuntimeError as error:
        print(error, file=sys.stderr)
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--name", default="weft", help="of the cluster; several can run at once")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="bring a cluster up")
    up.add_argument("--nodes", type=int, default=2)
    up.add_argument("--release", choices=sorted(goparts.RELEASES), default="newest")
    up.add_argument("--multus", choices=[each.value for each in spec.Multus], default="thick")
    verbs.add_parser("down", help="end it and remove all that it left")
    build = verbs.add_parser("build", help="fetch and build what clusters are made of")
    build.add_argument("--release", choices=sorted(goparts.RELEASES), help="by default all")
    alone = verbs.add_parser("api-server", help="build kube-apiserver alone, and say where it is")
    alone.add_argument("--release", choices=sorted(goparts.RELEASES), default="newest")
    for name in TOOLS:
        verbs.add_parser(name, help=f"{name} for this cluster", add_help=False)
    inside = verbs.add_parser("exec", help="run a command on a machine: control, node1, ...")
    inside.add_argument("machine")
    again = verbs.add_parser("restart", help="end a service of a machine and start it again")
    again.add_argument("machine")
    again.add_argument("service")
    give = verbs.add_parser("import", help="give an OCI archive to all nodes, as a registry would")
    give.add_argument("archive", type=Path)
    own, rest = _split(sys.argv[1:])
    return parser.parse_args(own, argparse.Namespace(rest=rest))


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    """What is meant for us, and what for a tool: all that stands behind its name."""
    for index, word in enumerate(given):
        if word in TOOLS:
            return given[: index + 1], given[index + 1 :]
        if word == "--":
            return given[:index], given[index + 1 :]
    return given, []


def _run(chosen: argparse.Namespace) -> int:
    if chosen.verb == "up":
        wanted = spec.Cluster(chosen.name, chosen.nodes, chosen.release, spec.Multus(chosen.multus))
        print(f"export KUBECONFIG={life.up(wanted).kubeconfig}")
        return 0
    if chosen.verb == "down":
        life.down(chosen.name)
        return 0
    if chosen.verb == "build":
        for release in (chosen.release,) if chosen.release else goparts.RELEASES:
            print(life.artifacts(spec.Cluster(release=release)))
        print(goparts.build(goparts.HELM))
        return 0
    if chosen.verb == "api-server":
        server = goparts.program(goparts.RELEASES[chosen.release], "kube-apiserver")
        print(f"WEFT_KUBE_APISERVER={server} WEFT_ETCD={debiantree.ensure() / 'usr/bin/etcd'}")
        return 0
    found = life.running(chosen.name)
    if found is None:
        print(f"no cluster named {chosen.name} runs", file=sys.stderr)
        return 1
    return _with(found, chosen)


def _with(found: cluster.Cluster, chosen: argparse.Namespace) -> int:
    environment = {**os.environ, "KUBECONFIG": str(found.kubeconfig)}
    match chosen.verb:
        case "kubectl":
            program = [str(found.kubernetes / "kubectl"), *chosen.rest]
        case "helm":
            program = [str(goparts.build(goparts.HELM) / "helm"), *chosen.rest]
        case "exec":
            program = found.machine(chosen.machine).enter(*(chosen.rest or ["bash"]))
        case "restart":
            found.restart(chosen.machine, chosen.service)
            return 0
        case _:
            found.import_image(chosen.archive)
            return 0
    return subprocess.run(program, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
