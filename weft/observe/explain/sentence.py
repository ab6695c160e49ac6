"""Says in one sentence whether the source reaches the target, or who stops it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from weft.observe.explain import packets, steps
from weft.observe.explain.evidence import Evidence, NetworkFacts, Probe
from weft.observe.explain.step import Step, Verdict, connection_of
from weft.observe.reach import ProbeResult


class Outcome(IntEnum):
    """Whether it reaches; the value is the exit status of `weft explain`."""

    REACHES = 0
    STOPPED = 1
    UNKNOWN = 2


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps, the sentence that sums them up, and whether the source reaches the target.

    `cause` is the step that stops it, `remedy` what to change.
    """

    steps: tuple[Step, ...]
    outcome: Outcome
    sentence: str
    cause: str = ""
    remedy: str = ""


def explain(evidence: Evidence) -> Explanation:
    """Walk the way and say what came of it."""
    walked = steps.walk(evidence)
    probe = evidence.probe
    result = probe.result if isinstance(probe, Probe) else ProbeResult.UNKNOWN
    faults = [step for step in walked if step.verdict is Verdict.FAULT]
    if result in packets.REACHED:
        own = next((step for step in faults if step.name == "source address"), None)
        if own is not None and isinstance(probe, Probe) and probe.by:  # it sent nothing itself
            return _stopped(evidence, walked, own.name, own.seen, own.remedy)
        return _reached(evidence, walked, faults)
    if faults:
        first = faults[0]
        return _stopped(evidence, walked, first.name, first.seen, first.remedy)
    is_mute = isinstance(probe, Probe) and packets.tells_nothing(probe, evidence)
    if result is ProbeResult.SILENT and not is_mute:
        seen, remedy = packets.unanswered(evidence)
        return _stopped(evidence, walked, "probe", seen, remedy + _unknown(walked))
    named = _named(evidence)
    text = f"Nothing that was seen stops {named}, but that it does was not seen{_unknown(walked)}."
    return Explanation(walked, Outcome.UNKNOWN, text)


def _reached(evidence: Evidence, walked: tuple[Step, ...], faults: Sequence[Step]) -> Explanation:
    large = next((step for step in faults if step.name == packets.MTU), None)
    if large is not None:
        whole = _reaching(evidence, "does not reach", "large packets")
        text = f"{whole}: {large.seen}; {large.remedy}."
        return Explanation(walked, Outcome.STOPPED, text, large.name, large.remedy)
    text = f"{_reaching(evidence)}."
    if faults:
        text = f"{_reaching(evidence)}, although {faults[0].seen}."
    return Explanation(walked, Outcome.REACHES, text)


def _stopped(
    evidence: Evidence, walked: tuple[Step, ...], cause: str, seen: str, remedy: str
) -> Explanation:
    text = f"{_reaching(evidence, 'does not reach')}: {seen}; {remedy}."
    return Explanation(walked, Outcome.STOPPED, text, cause, remedy)


def _reaching(evidence: Evidence, verb: str = "reaches", sent: str = "") -> str:
    network = evidence.network
    on = f" on {network.name}" if isinstance(network, NetworkFacts) else ""
    by = sent or connection_of(evidence)
    return f"{evidence.source.name} {verb} {evidence.target.name} by {by}{on}"


def _named(evidence: Evidence) -> str:
    network = evidence.network
    on = f" on {network.name}" if isinstance(network, NetworkFacts) else ""
    sent = connection_of(evidence)
    return f"{sent} from {evidence.source.name} to {evidence.target.name}{on}"


def _unknown(walked: Sequence[Step]) -> str:
    """What could not be seen, each reason once."""
    reasons: dict[str, list[str]] = {}
    for step in walked:
        if step.verdict is Verdict.UNSEEN:
            reasons.setdefault(step.seen, []).append(step.name)
    listed = [f"{', '.join(names)} ({reason})" for reason, names in reasons.items()]
    return f" (not seen: {'; '.join(listed)})" if listed else ""
