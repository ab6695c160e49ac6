"""Finds the pods of the one that a question is about. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from weft import errors, names
from weft.observe.flows import collect
from weft.observe.flows.collect import Question
from weft.observe.members import Objects


@dataclass(frozen=True, slots=True)
class Subject:
    """A pod or a virtual machine, by its name."""

    namespace: str
    name: str
    is_machine: bool

    def __str__(self) -> str:
        return f"{'vm' if self.is_machine else 'pod'} {self.namespace}/{self.name}"


def named(pod: str, machine: str, namespace: str, command: str = "weft flows") -> Subject | None:
    """The subject of --pod or --vm; None for all. Raises InvalidInput for both."""
    if pod and machine:
        rule = "cannot be combined with --pod: name one of them"
        raise errors.InvalidInput(command, "--vm", machine, rule)
    if not pod and not machine:
        return None
    option, text = ("--pod", pod) if pod else ("--vm", machine)
    home, name = text.split("/", 1) if "/" in text else (namespace, text)
    if not home or not name or "/" in name:
        raise errors.InvalidInput(command, option, text, "must be NAME or NAMESPACE/NAME")
    return Subject(home, name, bool(machine))


def question(
    asked: Question, networks: Sequence[str], subject: Subject | None, found: Objects
) -> Question:
    """The question with the subject's pods and their networks. Raises InvalidInput without any."""
    if subject is None:
        return replace(asked, networks=tuple(networks))
    pods = tuple(_pods(subject, found))
    if not pods:
        what = f"{'has no pod that you may list' if subject.is_machine else 'is not there'}"
        hint = f"kubectl get pods -n {subject.namespace}"
        raise errors.Unavailable(what, where=str(subject), hint=hint)
    mine = collect.networks_of(found, pods)
    common = tuple(each for each in mine if not networks or each in networks)
    if not common:
        what = "is on no network of weft" if not mine else f"is on {', '.join(mine)} only"
        raise errors.Unavailable(what, where=str(subject), hint="weft networks")
    return replace(asked, networks=common, pods=pods)


def _pods(subject: Subject, found: Objects) -> list[str]:
    listed = []
    for pod in found.pods:
        meta = pod["metadata"]
        machine = (meta.get("labels") or {}).get(names.VM_NAME)
        if meta["namespace"] == subject.namespace and subject.name == (
            machine if subject.is_machine else meta["name"]
        ):
            listed.append(f"{meta['namespace']}/{meta['name']}")
    return listed
