"""The admission policies of deploy/ in the lab's API server: the same tests as on a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.tests.conformance import servers
from tests.real.test_admission_policy import (  # the tests themselves
    prepared,
    test_a_nad_has_wefts_notes_whole_or_none,  # noqa: F401
    test_a_node_is_what_its_agent_and_the_manager_say,  # noqa: F401
    test_a_policys_note_is_wefts,  # noqa: F401
    test_a_tenant_uses_networks_that_an_administrator_declares,  # noqa: F401
    test_an_agent_changes_nothing_of_its_node_but_what_is_wefts,  # noqa: F401
    test_an_agent_puts_back_on_pods_of_its_node_and_does_nothing_else,  # noqa: F401
    test_endpoints_are_written_by_the_manager_alone,  # noqa: F401
    test_nobody_edits_them_by_any_way,  # noqa: F401
    test_nobody_makes_a_pod_with_wefts_annotations,  # noqa: F401
    test_the_manager_writes_its_condition_of_a_machine_and_no_more,  # noqa: F401
)
from tests.support.kubernetes import CRDS, EXTENSIONS, Api, read_crd

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with servers.lab(tmp_path_factory.mktemp("lab")) as server:
        found = Api(server.url)
        for path in sorted(CRDS.glob("*.yaml")):
            assert found.make(f"{EXTENSIONS}/customresourcedefinitions", read_crd(path)) == 201
        yield prepared(found)


def test_a_binding_carries_none_to_its_pod(api: Api) -> None:
    path = "/api/v1/namespaces/default/pods"
    assert (
        api.make(
            path, {"metadata": {"name": "b"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        )
        == 201
    )
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "b", "annotations": {"k8s.ovn.org/pod-networks": "{}"}},
        "target": {"kind": "Node", "name": "node1"},
    }
    code, response = api("POST", f"{path}/b/binding", body, user="tenant")
    assert (code, response["details"]["kind"]) == (403, "pods")
    body = {**body, "metadata": {"name": "b"}}
    assert api.make(f"{path}/b/binding", body, user="tenant") == 201
