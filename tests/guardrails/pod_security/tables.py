"""What the tables of the Pod Security checks are built from: a pod that passes every check, and one thing changed."""

from typing import Any, cast

import msgspec

from webhook.cluster.view import View
from webhook.guardrails.base.contract import Context
from webhook.guardrails.pod_security._check import Violation
from webhook.guardrails.pod_security._registry import REGISTRY
from webhook.guardrails.pod_security._visitor import PodView
from webhook.kube.objects import Pod, PodSpec
from webhook.pricing.book import PriceBook

Json = dict[str, Any]


def secure(**changes: Any) -> Json:  # noqa: ANN401  any JSON value
    """Return the security context of a container that passes every check, with fields changed; None removes one."""
    context: Json = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {key: value for key, value in (context | changes).items() if value is not None}


def container(name: str = "c", **changes: Any) -> Json:  # noqa: ANN401  any JSON value
    """Return a container that passes every check, with fields changed."""
    return {"name": name, "image": "registry.example/app:1", "securityContext": secure()} | changes


def pod(*containers: Json, pod_context: Json | None = None, annotations: Json | None = None, **spec: Any) -> Json:  # noqa: ANN401
    """Return a pod that passes every check, with one thing changed: containers, pod security context, or the spec."""
    context: Json = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}} | (pod_context or {})
    body: Json = {
        "containers": list(containers) or [container()],
        "securityContext": {key: value for key, value in context.items() if value is not None},
    }
    return {"metadata": {"annotations": annotations or {}}, "spec": body | spec}


def in_context(**context: Any) -> Json:  # noqa: ANN401  any JSON value
    """Return a pod whose only container has fields of its security context changed."""
    return pod(container(securityContext=secure(**context)))


def decode(document: Json) -> Pod:
    """Return the typed pod."""
    return msgspec.convert(document, Pod)


def judge(check: str, document: Json, version: str = "latest") -> Violation | None:
    """Run one check alone, as it stands at a version."""
    minor = REGISTRY.latest_minor if version == "latest" else int(version.removeprefix("v1."))
    active = [revision for revision in REGISTRY.checks[check].revisions if revision.since_minor <= minor]
    typed = decode(document)
    return active[-1].evaluate(PodView(typed.metadata, typed.spec or PodSpec())) if active else None


def said(violation: Violation | None) -> str:
    """Return reason and detail as the message joins them; empty where nothing is violated."""
    if violation is None:
        return ""
    return f"{violation.reason} ({violation.detail})" if violation.detail else violation.reason


def context_of(document: Json, **fields: Any) -> Context:  # noqa: ANN401  fields of Context
    """Return the context of a review of this pod; cluster and prices are objects that answer nothing."""
    return Context(
        pod=decode(document),
        namespace="team-a",
        view=cast("View", object()),
        prices=cast("PriceBook", object()),
        **fields,
    )
