#!/usr/bin/env python3
"""Writes deploy/weft.yaml and uninstall.yaml: the chart with its default values, without Helm.

python -m tools.manifest HELM            write them; HELM is the program
python -m tools.manifest HELM --check    exit status 1 if one is out of date
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
NAMESPACE = "weft-system"
INSTALL = f"""\
# weft with the default values of deploy/chart, made by `python -m tools.manifest`; edit the chart.
#
#   kubectl create -f deploy/chart/crds     # what is there already stays as it is
#   kubectl apply -f deploy/weft.yaml
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
"""
UNINSTALL = """\
# Removes what weft has made, made by `python -m tools.manifest`; edit the chart. No pod may have a
# network of weft any more: docs/how-to/uninstall.md
#
#   kubectl delete -f deploy/weft.yaml --ignore-not-found --wait
#   kubectl create namespace weft-system; kubectl apply -f deploy/uninstall.yaml
#   kubectl -n weft-system wait --for=condition=Complete --timeout=5m job --all
#   kubectl delete -f deploy/uninstall.yaml; kubectl delete namespace weft-system
"""


def render(helm: str) -> dict[Path, str]:
    """Both manifests, by file."""
    removing = _template(helm, "--show-only=templates/uninstall.yaml")
    kept = [each for each in removing.split("\n---\n") if "name: weft-uninstall-check" not in each]
    return {
        DEPLOY / "weft.yaml": INSTALL + _template(helm, "--no-hooks"),
        DEPLOY / "uninstall.yaml": UNINSTALL + "\n---\n".join(kept),
    }


def _template(helm: str, *options: str) -> str:
    done = subprocess.run(
        [
            *(helm, "template", "weft", str(DEPLOY / "chart"), f"--namespace={NAMESPACE}"),
            *("--kube-version=1.32.0", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    text = re.sub(r"^# Source: .*\n|^    helm.sh/hook.*\n", "", done.stdout, flags=re.M)
    text = re.sub(r"^  annotations:\n(?!    )", "", text, flags=re.M)
    return text.replace("managed-by: Helm", "managed-by: kubectl")


def main(arguments: list[str]) -> int:
    helm, *options = arguments
    made = render(helm)
    if "--check" in options:
        return int(any(path.read_text() != text for path, text in made.items()))
    for path, text in made.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
