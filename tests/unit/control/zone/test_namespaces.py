"""Namespaces as a zone reads them, out of what its cache keeps."""

from __future__ import annotations

from weft import names
from weft.control.zone import namespaces, policies
from weft.policy import netpolicy


def test_labels_and_what_is_to_be_logged_out_of_what_is_kept():
    notes = {names.ACL_LOGGING: '{"allow": "info", "deny": "alert"}', "other": "x" * 1000}
    meta = {
        "name": "one",
        "uid": "u",
        "resourceVersion": "1",
        "labels": {"team": "a"},
        "annotations": notes,
    }
    kept = namespaces.slim({"metadata": meta, "status": {"phase": "Active"}})
    assert len(str(kept)) < 300
    wanted = policies.Namespace({"team": "a"}, netpolicy.Logging("info", "alert"))
    assert namespaces.read(kept) == wanted


def test_what_is_wrong_logs_nothing():
    for text in ("{", "[]", '{"deny": "shout"}'):
        meta = {"name": "one", "annotations": {names.ACL_LOGGING: text}}
        assert namespaces.read({"metadata": meta}) == policies.Namespace()
