"""Runs kubectl with the same arguments against both servers, and tells in what it differs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.tests.conformance.exchange import RUN, Difference, level
from lab.tests.conformance.servers import Api
from tests.support.patience import PATIENCE


@dataclass(frozen=True, eq=False)
class Run:
    """One call of kubectl.

    given: its standard input, objects or text. edit: what its editor does, in the language of sed.
    """

    arguments: str
    given: Any = None
    edit: str = ""


@dataclass(frozen=True)
class Kubectl:
    program: Path
    folder: Path

    def run(self, api: Api, space: str, run: Run) -> dict[str, Any]:
        config = self.folder / f"{api.name}.yaml"
        if not config.exists():
            config.write_text(yaml.safe_dump(_kubeconfig(api)))
        given = run.given if isinstance(run.given, str | None) else yaml.safe_dump_all(run.given)
        given = given and given.replace("{ns}", space)
        found = subprocess.run(
            [self.program, "--namespace", space, *run.arguments.replace("{ns}", space).split(" ")],
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={
                "KUBECONFIG": str(config),
                "HOME": str(self.folder / api.name),
                "PATH": "/usr/bin:/bin",
                "KUBE_EDITOR": f"sed -i -e {run.edit}",
            },
        )
        texts = {"out": found.stdout, "err": found.stderr}
        shown = {name: _lines(text.replace(_secure(api), "<url>")) for name, text in texts.items()}
        return {"code": found.returncode, **shown}


def _kubeconfig(api: Api) -> dict[str, Any]:
    cluster = {"server": _secure(api), "insecure-skip-tls-verify": True}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "admin"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }


def _secure(api: Api) -> str:
    """The URL for TLS: over plain HTTP kubectl sends no token."""
    if api.url.startswith("https"):
        return api.url
    found: Any = yaml.safe_load(api.kubeconfig.read_text())
    return str(found["clusters"][0]["cluster"]["server"])


_AGE = re.compile(r"\b\d+(s|m(\d+s)?)\b")
_TEMPORARY = re.compile(r"/tmp/[-A-Za-z0-9_./]+|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000")


def _lines(text: str) -> list[str]:
    """Lines with everything made equal that has to differ, columns a space apart."""
    plain = level(_TEMPORARY.sub("<path>", _AGE.sub("<age>", text)), managed=True)
    lines = [re.sub(r" {2,}(?=\S)", "  ", line.rstrip()) for line in plain.splitlines()]
    return [re.sub(r'(resourceVersion: )"\d+"', r"\1<revision>", line) for line in lines]


def compare(
    kubectl: Kubectl, flow: str, runs: tuple[Run, ...], real: Api, lab: Api
) -> Iterator[Difference]:
    """Each flow has a namespace of its own."""
    space = f"kubectl-{flow}{RUN}"
    for api in (real, lab):
        made = kubectl.run(api, "default", Run(f"create namespace {space}"))
        assert made["code"] == 0, made
    for number, run in enumerate(runs):
        with ThreadPoolExecutor() as both:
            asked = [both.submit(kubectl.run, api, space, run) for api in (real, lab)]
        answers = [each.result() for each in asked]
        for part in ("code", "out", "err"):
            one, other = (answer[part] for answer in answers)
            if one != other:
                yield Difference(f"kubectl-{flow}/{number}/{part}", one, other)
