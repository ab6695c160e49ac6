"""What the webhook answers, and what it writes to be trusted."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from weft.app import servingcertificate, webhook
from weft.control.cluster.admission import Verdict

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def configuration(*clients: dict[str, Any]) -> dict[str, Any]:
    hooks = [{"name": f"w{n}.a.b", "clientConfig": each} for n, each in enumerate(clients)]
    return {"metadata": {"name": "weft", "resourceVersion": "7"}, "webhooks": hooks}


def test_the_certificate_is_for_the_service_that_is_named() -> None:
    service = {"service": {"name": "weft-webhook", "namespace": "nets", "path": "/admit"}}
    url = {"url": "https://192.0.2.1:9443/admit"}
    assert webhook.reached_by(configuration(service)) == ("weft-webhook.nets.svc",)
    assert webhook.reached_by(configuration(url, url)) == ("192.0.2.1",)
    assert webhook.reached_by(configuration()) == ("localhost",)


def test_only_what_is_not_trusted_yet_is_written() -> None:
    own = servingcertificate.make(("localhost",), NOW)
    bundle = base64.b64encode(own.pem).decode()
    found = configuration({"caBundle": bundle}, {}, {"caBundle": "%%%"})
    patch = webhook.trusting(found, [own], NOW)
    assert patch is not None
    assert patch["metadata"] == {"resourceVersion": "7"}
    assert [each["name"] for each in patch["webhooks"]] == ["w1.a.b", "w2.a.b"]
    assert webhook.trusting(configuration({"caBundle": bundle}), [own], NOW) is None


def test_a_refusal_is_an_answer_too() -> None:
    response = webhook.answer("u", Verdict("is wrong", ("hm",)))["response"]
    assert (response["uid"], response["allowed"], response["warnings"]) == ("u", False, ["hm"])
    assert response["status"]["message"] == "is wrong"
    assert webhook.answer("u", Verdict())["response"] == {"uid": "u", "allowed": True}
