"""Which rights a real kube-apiserver asks of who enters a pod, by a POST and by a WebSocket."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.support import kubernetes
from tests.support.kubernetes import RBAC, needs_server
from tests.support.patience import PATIENCE
from weft import errors
from weft.kube import podexec
from weft.kube.client import Client
from weft.model import ObjectKey

pytestmark = [pytest.mark.real, needs_server]
HOME = "/namespaces/default"
PODS = f"/api/v1{HOME}/pods"
ALLOWED = "does not have a host assigned"  # what comes after rights were looked at


async def test_a_websocket_needs_the_right_to_get_beside_that_to_create(tmp_path: Path) -> None:
    with kubernetes.running(tmp_path) as kube:
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
        kubernetes.until(kube.api, PODS, "POST", pod)

        def entering(*verbs: str) -> Path:
            """A kubeconfig of an account that has these verbs of pods/exec."""
            name = "-".join(verbs)
            meta = {"metadata": {"name": name}}
            account = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
            rule = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": [*verbs]}
            for path, body in (
                (f"/api/v1{HOME}/serviceaccounts", meta),
                (f"{RBAC}{HOME}/roles", {**meta, "rules": [rule]}),
                (f"{RBAC}{HOME}/rolebindings", {**meta, "roleRef": role, "subjects": [account]}),
            ):
                kubernetes.until(kube.api, path, "POST", body)
            return kube.kubeconfig(kube.token(name, "default"))

        async def entered(kubeconfig: Path, expected: str) -> None:
            """By a WebSocket, as the console enters a pod; rights count a moment later."""
            async with asyncio.timeout(PATIENCE), Client.from_kubeconfig(str(kubeconfig)) as api:
                while True:
                    with pytest.raises(errors.WeftError) as failed:
                        await podexec.run(
                            *(api, ObjectKey("default", "p"), "c", ["true"], b""),
                            patience=PATIENCE,
                            most=1,
                        )
                    if re.search(expected, str(failed.value)):
                        return

        await entered(entering("get", "create"), ALLOWED)
        await entered(entering("create"), 'cannot get resource "pods/exec"')

        # A POST, as kubectl falls back to where a WebSocket is refused, needs the one right alone.
        path = f"{PODS}/p/exec?command=true&container=c&stdout=true"
        account = "system:serviceaccount:default:create"
        code, answer = kube.api("POST", path, user=account, group="system:authenticated")
        assert (code, ALLOWED in answer["message"]) == (400, True), answer
