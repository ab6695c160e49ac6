"""Which NADs exist, and what was accepted of each."""

from __future__ import annotations

from tests.support import cluster_world
from weft.control.cluster import nads
from weft.control.cluster.allocations import Allocations
from weft.control.cluster.register import Register
from weft.model import ObjectKey
from weft.policy import access

KEY = ObjectKey("default", "blue")


def read(uid: str, subnets: str = "10.1.0.0/24") -> nads.Nad:
    made = cluster_world.nad("blue", subnets=subnets)
    made["metadata"]["uid"] = uid
    return nads.read(made, nads.Rules())


def test_what_was_accepted_is_kept_and_not_for_another_of_its_name() -> None:
    register = Register(access.AccessRule(), Allocations())
    register.put(KEY, read("u1"))
    accepted = register.get(KEY)
    assert accepted is not None
    assert accepted.accepted is not None
    register.put(KEY, read("u1", "broken"))
    edited = register.get(KEY)
    assert edited is not None
    assert edited.accepted == accepted.accepted, "whatever it says now"
    register.put(KEY, read("u2", "broken"))
    recreated = register.get(KEY)
    assert recreated is not None
    assert recreated.accepted is None, "nothing was accepted of this one"
