"""Runs Debian's Prometheus beside the control plane, configured from a chart's objects.

There is no Prometheus operator here. `scrapes` and `rules` make of ServiceMonitors and
PrometheusRules what the operator makes of them, for the fields that weft's have; any other field
fails the test that uses them.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.cluster import plan, spec
from tests.cluster.access import Object
from tests.cluster.cluster import Cluster, until

GROUP = "monitoring.coreos.com"
INTERVAL = "1s"  # of scrapes and evaluations
_ADDRESS = "127.0.0.1:9090"
_FOLDER = "/run/prometheus"
SERVICE = plan.Service(
    "prometheus",
    (
        *("prometheus", f"--config.file={_FOLDER}/config.yaml", f"--web.listen-address={_ADDRESS}"),
        *(f"--storage.tsdb.path={_FOLDER}/data", "--storage.tsdb.retention.time=1h"),
    ),
    notifies=False,
)


def crds() -> list[Object]:
    """The operator's two kinds, with any fields: their rules are its own."""
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{kind.lower()}s.{GROUP}"},
            "spec": {
                "group": GROUP,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": f"{kind.lower()}s"},
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {
                            "openAPIV3Schema": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                            }
                        },
                    }
                ],
            },
        }
        for kind in ("ServiceMonitor", "PrometheusRule")
    ]


def scrapes(monitor: Object) -> list[Object]:
    """The scrape configs of a ServiceMonitor: one for each of its endpoints.

    A target is a port of a Service that the selector chooses, in the monitor's own namespace.
    """
    meta = monitor["metadata"]
    wanted = _known(monitor["spec"], "selector", "jobLabel", "endpoints")
    labels = _known(wanted["selector"], "matchLabels")["matchLabels"]
    found = []
    for index, endpoint in enumerate(wanted["endpoints"]):
        _known(endpoint, "port", "interval", "relabelings")
        relabel = [
            *(_keep(f"service_label_{_label(key)}", value) for key, value in labels.items()),
            _keep("endpoint_port_name", endpoint["port"]),
            *(_copy(f"__meta_kubernetes_{each}", each.removesuffix("_name")) for each in _NAMED),
            _copy(f"__meta_kubernetes_service_label_{_label(wanted['jobLabel'])}", "job"),
            {"target_label": "endpoint", "replacement": endpoint["port"]},
            *(_relabeling(each) for each in endpoint["relabelings"]),
        ]
        found.append(
            {
                "job_name": f"serviceMonitor/{meta['namespace']}/{meta['name']}/{index}",
                "scrape_interval": endpoint["interval"],
                "scrape_timeout": endpoint["interval"],
                "kubernetes_sd_configs": [
                    {
                        "role": "endpoints",
                        "kubeconfig_file": f"{_FOLDER}/kubeconfig",
                        "namespaces": {"names": [meta["namespace"]]},
                    }
                ],
                "relabel_configs": relabel,
            }
        )
    return found


# What the operator tells of each target.
_NAMED = ("namespace", "service_name", "pod_name", "pod_container_name")


def _keep(source: str, value: str) -> Object:
    return {"action": "keep", "source_labels": [f"__meta_kubernetes_{source}"], "regex": value}


def _copy(source: str, target: str) -> Object:
    return {"source_labels": [source], "regex": "(.+)", "target_label": target}


def _relabeling(given: Object) -> Object:
    _known(given, "sourceLabels", "targetLabel")
    return {"source_labels": given["sourceLabels"], "target_label": given["targetLabel"]}


def _label(key: str) -> str:
    """As service discovery names it."""
    return "".join(each if each.isalnum() else "_" for each in key)


def rules(rule: Object, waits: str) -> Object:
    """The rule file of a PrometheusRule, whose spec is one; every alert waits this long."""
    groups = json.loads(json.dumps(_known(rule["spec"], "groups")))
    for group in groups["groups"]:
        for each in group["rules"]:
            each["for"] = waits
    return dict(groups)


def _known(given: Mapping[str, Any], *fields: str) -> Object:
    unknown = set(given) - set(fields)
    assert not unknown, f"{sorted(unknown)}: say here what the operator makes of it"
    return dict(given)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs on the machine of the control plane, which reaches all nodes and pods."""

    cluster: Cluster

    def start(self, scraped: list[Object], alerts: Object) -> None:
        """Until it answers. Raises RuntimeError if it refuses its configuration."""
        control = self.cluster.machine(spec.CONTROL)
        kubeconfig = json.loads(self.cluster.kubeconfig.read_text())
        server = f"https://127.0.0.1:{spec.API_PORT}"
        kubeconfig["clusters"][0]["cluster"]["server"] = server
        config = {
            "global": {"evaluation_interval": INTERVAL},
            "rule_files": [f"{_FOLDER}/rules.yaml"],
            "scrape_configs": scraped,
        }
        control.run("mkdir", "-p", f"{_FOLDER}/data")
        for name, what in (("config", config), ("rules", alerts), ("kubeconfig", kubeconfig)):
            suffix = "" if name == "kubeconfig" else ".yaml"
            control.run("tee", f"{_FOLDER}/{name}{suffix}", data=json.dumps(what).encode())
        control.start(SERVICE)
        until(self._is_ready, "Prometheus to be ready")

    def stop(self) -> None:
        self.cluster.machine(spec.CONTROL).stop(SERVICE.name)

    def _is_ready(self) -> bool:
        control = self.cluster.machine(spec.CONTROL)
        if SERVICE.name not in control.running():
            raise RuntimeError(control.log(SERVICE.name))
        return "Ready" in self._fetch("/-/ready")

    def _fetch(self, path: str) -> str:
        argv = ("busybox", "wget", "-qO-", f"http://{_ADDRESS}{path}")
        done = self.cluster.machine(spec.CONTROL).run(*argv, check=False)
        return (done.stdout + done.stderr).decode()

    def ask(self, path: str, **arguments: str) -> Any:
        """The data of an answer of its API."""
        text = self._fetch(f"/api/v1/{path}?{urllib.parse.urlencode(arguments)}")
        answer = json.loads(text) if text.startswith("{") else {"status": text}
        assert answer["status"] == "success", f"{path} {arguments}: {answer}"
        return answer["data"]

    def evaluate(self, expression: str) -> list[Object]:
        """The series of an expression now."""
        return list(self.ask("query", query=expression)["result"])

    def has(self, expression: str) -> None:
        """Wait until an expression has a value."""
        until(lambda: self.evaluate(expression), f"a value of {expression}")

    def targets(self) -> list[Object]:
        return list(self.ask("targets", state="active")["activeTargets"])

    def firing(self) -> set[tuple[str, str]]:
        """Alerts that fire: their names, and the node or network that they are about."""
        return {
            (labels["alertname"], labels.get("node") or labels.get("network", ""))
            for each in self.ask("alerts")["alerts"]
            if each["state"] == "firing" and (labels := each["labels"])
        }
