"""One guardrail on one pod: compile a section from YAML, propose, inspect."""

from typing import Any, NamedTuple

import msgspec
import yaml

from tests import factories
from webhook.admission.ruleset import DEFAULT_PRICES
from webhook.cluster.snapshot import Snapshot
from webhook.guardrails.base import registry as guardrail_registry
from webhook.guardrails.base.contract import Context, Finding
from webhook.kube.objects import Pod
from webhook.kube.patch import Draft
from webhook.policy.model import discovery

NOTHING: list[dict[str, Any]] = []


class Seen(NamedTuple):
    """What a guardrail made of a pod."""

    patched: dict[str, Any]
    operations: list[dict[str, Any]]
    notices: list[Finding]
    findings: list[Finding]
    """Found on the patched pod."""
    is_spot: bool


def rule(name: str, section: str) -> Any:  # noqa: ANN401  rules are of the guardrails' own types
    """Compile a section."""
    model = discovery.sections()[name].model
    guardrail = next(item for item in guardrail_registry.discover() if item.name == name)
    return guardrail.compile(model.model_validate_json(msgspec.json.encode(yaml.safe_load(section))))


def judge(
    name: str,
    section: str,
    pod: dict[str, Any],
    cluster: list[dict[str, Any]] = NOTHING,
    old: dict[str, Any] | None = None,
    **context: Any,  # noqa: ANN401  fields of a Context
) -> Seen:
    """Let a guardrail change and judge a pod in the namespace ``team-alpha``; a second pass must change nothing."""
    guardrail = next(item for item in guardrail_registry.discover() if item.name == name)
    compiled = rule(name, section)
    view = Snapshot.from_documents(cluster)

    def make(document: dict[str, Any]) -> Context:
        return Context(
            pod=msgspec.convert(document, Pod),
            namespace="team-alpha",
            view=view,
            prices=DEFAULT_PRICES,
            namespace_info=view.namespace("team-alpha"),
            old_pod=msgspec.convert(old, Pod) if old is not None else None,
            **context,
        )

    judged = make(pod)
    draft = Draft(judged.pod)
    notices = list(guardrail.propose(compiled, judged, draft)) if guardrail.propose is not None else []
    findings = list(guardrail.inspect(compiled, judged))
    patched = factories.patched_with(pod, draft.operations)
    again = make(patched)
    assert msgspec.to_builtins(again.pod) == msgspec.to_builtins(judged.pod)
    second = Draft(again.pod)
    if guardrail.propose is not None:
        guardrail.propose(compiled, again, second)
    assert second.operations == []
    spot = guardrail.prices_as_spot is not None and guardrail.prices_as_spot(compiled, judged)
    return Seen(patched, draft.operations, notices, findings, spot)


def owned_by(kind: str, name: str = "shop", version: str = "apps/v1") -> dict[str, Any]:
    """Return metadata of a pod whose controller is of this kind."""
    reference = {"apiVersion": version, "kind": kind, "name": name, "uid": "u", "controller": True}
    return {"ownerReferences": [reference]}
