"""What the cluster manager signed, and everything that is not that."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.signed import Notary
from weft import errors, model, names
from weft.api import pod as api_pod
from weft.api import podnetworks, podsignature

ONE = model.Allocation("0a:58:0a:01:00:05", (ip_interface("10.1.0.5/24"),), 12)
NOTARY = Notary()
TRUSTED = podsignature.TrustedKeys.parse(NOTARY.public)


def pod(text: str = "", **meta: Any) -> dict[str, Any]:
    text = text or podnetworks.render({"a/blue": ONE})
    annotations = {names.POD_NETWORKS: text}
    return {
        "metadata": {
            "namespace": "a",
            "name": "web",
            "uid": "u1",
            "annotations": annotations,
            **meta,
        }
    }


def annotations_of(obj: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = obj["metadata"]["annotations"]
    return found


def verified(obj: dict[str, Any]) -> podsignature.SignedAllocations:
    seen = api_pod.read(obj, primary=True)
    return podsignature.verify(seen.ref, seen.proof, TRUSTED)


def test_what_was_signed_is_read() -> None:
    signed = NOTARY.sign(pod())
    found = verified(signed)
    assert found.allocations == {"a/blue": ONE}
    assert found.by == NOTARY.signer.id
    assert found.prove() == tuple(annotations_of(signed).values())


def test_nothing_is_nothing() -> None:
    assert verified({"metadata": {"namespace": "a", "name": "web"}}) == podsignature.UNSIGNED


def test_other_plugins_entries_are_nobodys_word_and_do_no_harm() -> None:
    signed = NOTARY.sign(pod())
    entries = {**json.loads(annotations_of(signed)[names.POD_NETWORKS]), "default": 3, "b/x": {}}
    annotations_of(signed)[names.POD_NETWORKS] = json.dumps(entries)
    assert verified(signed).allocations == {"a/blue": ONE}


Edit = Callable[[dict[str, Any]], object]


def _change_signature(obj: dict[str, Any], **changes: Any) -> None:
    signature = {**json.loads(annotations_of(obj)[names.POD_NETWORKS_SIGNATURE]), **changes}
    annotations_of(obj)[names.POD_NETWORKS_SIGNATURE] = json.dumps(signature)


EDITS: dict[str, tuple[Edit, str]] = {
    "another pod": (lambda p: p["metadata"].update(name="other"), "for this pod"),
    "another namespace": (lambda p: p["metadata"].update(namespace="b"), "for this pod"),
    "another incarnation": (lambda p: p["metadata"].update(uid="u2"), "for this pod"),
    "another address": (
        lambda p: annotations_of(p).update(
            {names.POD_NETWORKS: annotations_of(p)[names.POD_NETWORKS].replace("0.5", "0.6")}
        ),
        "for this pod",
    ),
    "no signature": (
        lambda p: annotations_of(p).pop(names.POD_NETWORKS_SIGNATURE),
        "was not written by the cluster manager",
    ),
    "no text": (lambda p: annotations_of(p).pop(names.POD_NETWORKS), "for this pod"),
    "broken text": (lambda p: annotations_of(p).update({names.POD_NETWORKS: "{"}), "not"),
    "fewer": (lambda p: _change_signature(p, of=[]), "for this pod"),
    "more": (lambda p: _change_signature(p, of=["a/blue", "a/red"]), "for this pod"),
    "unknown key": (
        lambda p: _change_signature(p, by="0" * 16),
        "not one of the cluster manager's",
    ),
    "odd key": (lambda p: _change_signature(p, by=[1]), "cannot be read"),
    "odd list": (lambda p: _change_signature(p, of={"a": 1}), "cannot be read"),
    "odd signature": (lambda p: _change_signature(p, signature="%"), "cannot be read"),
    "short signature": (lambda p: _change_signature(p, signature="AAAA"), "for this pod"),
    "no object": (
        lambda p: annotations_of(p).update({names.POD_NETWORKS_SIGNATURE: "[]"}),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_anything_else_is_refused_and_says_why(edit: str) -> None:
    signed = NOTARY.sign(pod())
    change, signature = EDITS[edit]
    change(signed)
    with pytest.raises(errors.InvalidInput, match=signature) as caught:
        verified(signed)
    assert caught.value.where.startswith("Pod ")


def test_a_key_stands_under_its_own_id_only() -> None:
    other = Notary()
    assert NOTARY.signer.id not in podsignature.TrustedKeys.parse(
        {NOTARY.signer.id: other.signer.public}
    )
    assert not podsignature.TrustedKeys.parse({"x": "", "y": 3, other.signer.id: "AAAA"})


def test_a_key_is_stored_and_loaded() -> None:
    assert podsignature.Signer.load(NOTARY.signer.secret).id == NOTARY.signer.id
    for text in ("", "AAAA", "%"):
        with pytest.raises(ValueError, match=r"."):
            podsignature.Signer.load(text)


@given(st.text(), st.text())
def test_no_text_reaches_a_reader_as_another_error(text: str, signature: str) -> None:
    obj = pod(text or "x")
    annotations_of(obj)[names.POD_NETWORKS_SIGNATURE] = signature
    with pytest.raises(errors.InvalidInput):
        verified(obj)
