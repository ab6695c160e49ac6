"""The table of requests."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import yaml

from lab.tests.conformance.cases import (
    access,
    admissions,
    applies,
    discovery,
    kinds,
    networkqos,
    patches,
    reads,
    userdefined,
    watches,
    writes,
)
from lab.tests.conformance.cases.objects import CRDS
from lab.tests.conformance.exchange import Case
from lab.tests.conformance.servers import Api
from tests.support.apiserver import CRDS as FOLDER
from tests.support.patience import PATIENCE

ALL: tuple[Case, ...] = (
    *discovery.CASES,
    *reads.CASES,
    *writes.CASES,
    *patches.CASES,
    *applies.CASES,
    *watches.CASES,
    *admissions.CASES,
    *access.CASES,
    *userdefined.CASES,
    *networkqos.CASES,
    *kinds.CASES,
)
_HEADERS = {"Authorization": "Bearer admin", "Content-Type": "application/json"}


def prepare(api: Api) -> None:
    """Define weft's types; returns when they are served."""
    for path in sorted(Path(FOLDER).glob("*.yaml")):
        made = json.dumps(yaml.safe_load(path.read_text())).encode()
        code, _, text = api.send("POST", CRDS, made, _HEADERS)
        assert code in {201, 409}, text
    end = time.monotonic() + PATIENCE
    while not _is_served(api):
        assert time.monotonic() < end, f"{api.name}: the types are not served"
        time.sleep(0.1)  # a definition says that it is accepted before it is served


def _is_served(api: Api) -> bool:
    _, _, text = api.send("GET", CRDS, None, _HEADERS)
    found: Any = json.loads(text)
    paths = [
        f"/apis/{each['spec']['group']}/{version['name']}/{each['spec']['names']['plural']}"
        for each in found["items"]
        for version in each["spec"]["versions"]
        if version["served"]
    ]
    return all(api.send("GET", path, None, _HEADERS)[0] == 200 for path in paths)
