"""By which rights of a viewer nodes are looked at."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import orjson
import pytest

from weft import errors
from weft.console.nodes import ViewersNodes
from weft.kube.client import Forbidden
from weft.observe.checks import SYSTEM

DENIED = Forbidden(403, "Forbidden", "selfsubjectaccessreviews is forbidden")


class Reviews:
    """A client whose API server says which verbs of pods/exec the viewer has."""

    def __init__(self, *verbs: str, fails: bool = False) -> None:
        self._verbs, self._fails = verbs, fails
        self.asked: list[dict[str, str]] = []

    async def request(self, *_: str, body: bytes, **__: Any) -> dict[str, Any]:
        asked = orjson.loads(body)["spec"]["resourceAttributes"]
        self.asked.append(asked)
        if self._fails:
            raise DENIED
        return {"status": {"allowed": asked["verb"] in self._verbs}}

    async def list(self, *_: Any) -> list[Any]:
        return []


@pytest.mark.parametrize(
    ("client", "lacks"),
    [
        (Reviews(), "who may create pods/exec in the namespace weft-system, and you may not"),
        (Reviews("create"), "who may get pods/exec in the namespace weft-system, and you may not"),
        (
            Reviews(fails=True),
            "who may create pods/exec in the namespace weft-system: selfsubjectaccess",
        ),
        (Reviews("create", "get"), "no pod of weft's agent that you may list in weft-system"),
    ],
)
async def test_who_lacks_a_right_gets_its_name_and_no_failure(client: Any, lacks: str) -> None:
    nodes = ViewersNodes(client, nullcontext)
    async with nodes.explorer([], probes=False) as explorer:
        with pytest.raises(errors.Unavailable, match=lacks):
            await explorer.look("node1", {})
    assert {each["namespace"] for each in client.asked} == {SYSTEM}
