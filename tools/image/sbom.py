"""Lists what is in the image, as SPDX 2.3 JSON: Debian packages, Python packages, weft."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tools.image.debian import Package
from tools.image.wheels import Wheel

_WEFT = "SPDXRef-weft"


def render(
    version: str,
    when: int,
    *,
    suite: str,
    packages: Iterable[Package],
    wheels: Iterable[Wheel],
    go: str,
    npm: Iterable[tuple[str, str, str]] = (),
) -> bytes:
    """`when`: seconds since 1970; `go`: version of the Go library in the CNI plugin; `npm`: name,
    version and licence of the console's libraries."""
    listed = [
        *(_debian(each, suite) for each in packages),
        *(_wheel(each) for each in wheels),
        *(_library(*each) for each in npm),
        _entry("stdlib", go, "golang", "BSD-3-Clause", f"pkg:golang/stdlib@{go}"),
    ]
    weft = _entry("weft", version, "", "Apache-2.0", f"pkg:pypi/weft@{version}") | {"SPDXID": _WEFT}
    named = quote(f"{version}-{when}")
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"weft-{version}",
        "documentNamespace": f"urn:weft:sbom:{named}",
        "creationInfo": {
            "created": datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: weft-tools-image"],
        },
        "packages": [weft, *listed],
        "relationships": [
            _related("SPDXRef-DOCUMENT", "DESCRIBES", _WEFT),
            *(_related(_WEFT, "CONTAINS", each["SPDXID"]) for each in listed),
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _debian(package: Package, suite: str) -> dict[str, Any]:
    address = (
        f"pkg:deb/debian/{quote(package.name)}@{quote(package.version, safe='')}"
        f"?arch={package.architecture}&distro={suite}"
    )
    return _entry(package.name, package.version, "deb", "NOASSERTION", address) | {
        "supplier": f"Organization: {package.maintainer}",
        "sourceInfo": f"built from {package.source}; licence in "
        f"/usr/share/doc/{package.name}/copyright",
        "checksums": [{"algorithm": "SHA256", "checksumValue": package.sha256}],
    }


def _wheel(wheel: Wheel) -> dict[str, Any]:
    address = f"pkg:pypi/{wheel.name}@{wheel.version}"
    return _entry(wheel.name, wheel.version, "pypi", wheel.licence or "NOASSERTION", address) | {
        "checksums": [{"algorithm": "SHA256", "checksumValue": wheel.sha256}]
    }


def _library(name: str, version: str, licence: str) -> dict[str, Any]:
    address = f"pkg:npm/{quote(name)}@{version}"
    return _entry(name, version, "npm", licence or "NOASSERTION", address)


def locked(lock: Path) -> list[tuple[str, str, str]]:
    """Name, version and licence of each package in a package-lock.json."""
    found = json.loads(lock.read_text())["packages"].items()
    return [
        (path.removeprefix("node_modules/"), each["version"], each.get("license", ""))
        for path, each in found
        if path
    ]


def _entry(name: str, version: str, kind: str, licence: str, address: str) -> dict[str, Any]:
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{kind}-{name}"),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": address,
            }
        ],
    }


def _related(one: str, how: str, other: str) -> Mapping[str, str]:
    return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}
