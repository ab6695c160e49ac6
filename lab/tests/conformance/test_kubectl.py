"""kubectl says the same on both servers; what differs is listed with a reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from lab.tests.conformance import known
from lab.tests.conformance.cases.commands import FLOWS
from lab.tests.conformance.exchange import Difference
from lab.tests.conformance.kubectls import Kubectl, compare
from lab.tests.conformance.servers import Api
from tests.cluster import goparts, missing

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    with missing.skipped():
        program = goparts.program(goparts.NEWEST, "kubectl")
    return Kubectl(Path(program), tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="module")
def differences(pair: tuple[Api, Api], kubectl: Kubectl) -> Callable[[str], list[Difference]]:
    """What differs in a flow, which is gone through once."""
    return cache(lambda flow: list(compare(kubectl, flow, FLOWS[flow], *pair)))


@pytest.mark.parametrize("flow", FLOWS)
def test_kubectl_says_the_same_on_both_servers(
    differences: Callable[[str], list[Difference]], flow: str
) -> None:
    rest = known.unlisted(differences(flow), known.KUBECTL)
    assert not rest, "\n".join(["kubectl's output differs:", *map(str, rest)])


def test_each_listed_difference_is_there(differences: Callable[[str], list[Difference]]) -> None:
    found = [one for flow in FLOWS for one in differences(flow)]
    gone = known.gone(found, known.KUBECTL)
    assert not gone, "\n".join(["listed, but not there any more:", *map(str, gone)])
