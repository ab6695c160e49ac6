"""Last words of containers."""

from __future__ import annotations

from pathlib import Path

from weft_lab.kubelet import logs
from weft_lab.kubelet.containers import State


def test_who_failed_and_wants_it_has_the_end_of_its_log(tmp_path: Path) -> None:
    policy = {"terminationMessagePolicy": logs.FALLBACK}
    pod = {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {
            "containers": [
                {"name": "bad", **policy},
                {"name": "good", **policy},
                {"name": "silent", **policy},
                {"name": "runs", **policy},
                {"name": "other"},
            ]
        },
    }
    ended = {"bad": 2, "good": 0, "silent": 1, "runs": None, "other": 1}
    states = {name: State(0, 0.0, status) for name, status in ended.items()}
    for name in ("bad", "good", "other"):
        path = logs.path(tmp_path, "n", "p", name)
        path.write_text("x" * 5000 + "\nno disk\n")
    found = logs.last_words(tmp_path, pod, states)
    assert found.keys() == {"bad", "silent"}
    assert found["bad"].endswith("x\nno disk")
    assert len(found["bad"]) <= logs.LONGEST_WORDS
    assert found["silent"] == ""
