"""A real kube-apiserver with its etcd; `WEFT_KUBE_APISERVER` and `WEFT_ETCD` name the programs.

It authorizes by RBAC. `admin` may do everything; service accounts ask with tokens that it makes.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kubeapiserver import KubeApiServer
from tests.support.patience import PATIENCE

DEPLOY = Path(__file__).parents[2] / "deploy"
CRDS = Path(__file__).parents[2] / "lab/weft_lab/crds"
EXTENSIONS = "/apis/apiextensions.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
NADS = "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions"
MERGE = "application/merge-patch+json"
Object = dict[str, Any]
SERVER, ETCD = os.environ.get("WEFT_KUBE_APISERVER", ""), os.environ.get("WEFT_ETCD", "")

needs_server = pytest.mark.skipif(
    not (SERVER and ETCD), reason="WEFT_KUBE_APISERVER and WEFT_ETCD name no programs"
)


def documents(name: str) -> list[Object]:
    return [each for each in yaml.safe_load_all((DEPLOY / name).read_text()) if each]


def read_crd(path: Path) -> Object:
    found: Object = yaml.safe_load(path.read_text())
    return found


@dataclass
class Api:
    url: str

    def __call__(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        user: str = "",
        node: str = "",
        group: str = "everybody",
        content: str = "application/json",
    ) -> tuple[int, Object]:
        headers = {"Authorization": "Bearer admin", "Content-Type": content}
        if user:
            headers |= {"Impersonate-User": user, "Impersonate-Group": group}
        if node:
            headers["Impersonate-Extra-authentication.kubernetes.io%2Fnode-name"] = node
        data = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(self.url + path, data, headers, method=method)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with urllib.request.urlopen(asked, context=context, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def patch(self, path: str, body: Object, **who: str) -> int:
        return self("PATCH", path, body, content=MERGE, **who)[0]

    def make(self, path: str, obj: Object, **who: str) -> int:
        return self("POST", path, obj, **who)[0]

    def annotate(self, path: str, annotations: Object, **who: str) -> int:
        body = {"metadata": {"annotations": annotations}}
        return self("PATCH", path, body, content=MERGE, **who)[0]

    def annotations(self, path: str) -> Object:
        found: Object = self("GET", path)[1]["metadata"].get("annotations") or {}
        return found


def until(api: Api, path: str, method: str = "GET", body: Object | None = None, **who: str) -> None:
    """Asks again and again until it succeeds: a server and its caches take a moment."""
    end = time.monotonic() + PATIENCE
    response: object = None
    while time.monotonic() < end:
        try:
            response = api(method, path, body, **who)
            if response[0] < 300:
                return
        except (OSError, ValueError) as error:
            response = error
    raise AssertionError(f"{method} {path}: {response}")


@dataclass
class Kubernetes:
    """A running server; its processes can be stopped and go on."""

    folder: Path
    url: str
    children: list[subprocess.Popen[bytes]]

    @property
    def server(self) -> subprocess.Popen[bytes]:
        return self.children[-1]

    @property
    def api(self) -> Api:
        return Api(self.url)

    def token(self, account: str, namespace: str = "weft-system", node: str = "") -> str:
        """A service account's token, as that of a pod on `node`."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        spec: Object = {"expirationSeconds": 3600}
        if node:
            uid = self.api("GET", f"/api/v1/nodes/{node}")[1]["metadata"]["uid"]
            spec["boundObjectRef"] = {"kind": "Node", "apiVersion": "v1", "name": node, "uid": uid}
        code, response = self.api("POST", path, {"spec": spec})
        assert code == 201, response
        return str(response["status"]["token"])

    def kubeconfig(self, token: str, url: str = "") -> Path:
        path = self.folder / f"kubeconfig-{len(list(self.folder.iterdir()))}"
        cluster = {"server": url or self.url, "insecure-skip-tls-verify": True}
        document = {
            "current-context": "c",
            "contexts": [
                {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "weft-system"}}
            ],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
        }
        path.write_text(json.dumps(document))
        return path


@contextmanager
def running(folder: Path, server: str = SERVER, etcd_server: str = ETCD) -> Iterator[Kubernetes]:
    """A server that answers and has the CRDs; nothing else is in it."""
    (folder / "tokens").write_text('admin,admin,0,"system:masters"\n')
    options = (
        *(f"--token-auth-file={folder}/tokens", "--authorization-mode=RBAC"),
        "--disable-admission-plugins=ServiceAccount",
    )
    with KubeApiServer(folder, server, etcd_server, *options) as started:
        made = Kubernetes(folder, started.url, started.children)
        define(made.api)
        yield made


def define(api: Api) -> None:
    """Waits for the server, then makes the CRDs."""
    until(api, "/version")
    until(api, "/api/v1/namespaces/default")
    for path in sorted(CRDS.glob("*.yaml")):
        code, response = api("POST", f"{EXTENSIONS}/customresourcedefinitions", read_crd(path))
        assert code == 201, response
    until(api, NADS)


PLACES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "Role": f"{RBAC}/namespaces/{{namespace}}/roles",
    "RoleBinding": f"{RBAC}/namespaces/{{namespace}}/rolebindings",
    "ValidatingAdmissionPolicy": (
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    ),
    "ValidatingAdmissionPolicyBinding": (
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
    ),
}


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def apply(api: Api, objects: list[Object]) -> None:
    """Makes what is not there yet."""
    for each in objects:
        path = PLACES[each["kind"]].format(namespace=each["metadata"].get("namespace", ""))
        code, response = api("POST", path, each)
        assert code in (201, 409), response


def replace(api: Api, obj: Object) -> None:
    """As `kubectl replace` does with an object of the whole cluster."""
    code, response = api("PUT", f"{PLACES[obj['kind']]}/{obj['metadata']['name']}", obj)
    assert code == 200, response


def cluster_role(name: str) -> Object:
    """As rbac.yaml has it."""
    (found,) = [
        each
        for each in documents("rbac.yaml")
        if each["kind"] == "ClusterRole" and each["metadata"]["name"] == name
    ]
    return found
