"""The guardrail as the engine sees it: one finding in the API server's words, with fields and cure."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, context_of, pod
from webhook.guardrails import pod_security
from webhook.guardrails.base.contract import Finding
from webhook.policy.pod_security import PodSecuritySection

GUARDRAIL = pod_security.GUARDRAIL
EXAMPLE = (
    'PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" must set '
    "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "
    '"c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set '
    'securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set '
    'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
)


def inspect(document: Json, **section: object) -> list[Finding]:
    """Return the findings about a pod under a section."""
    rule = GUARDRAIL.compile(PodSecuritySection.model_validate(section))
    return list(GUARDRAIL.inspect(rule, context_of(document)))


def test_a_bare_pod_is_refused_in_the_words_of_the_api_server() -> None:
    bare = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    [finding] = inspect(bare)
    assert finding.rule == "podSecurity"
    assert finding.message == f"violates {EXAMPLE}"
    assert finding.would == f"would violate {EXAMPLE}"
    assert finding.cure == (
        "set securityContext.allowPrivilegeEscalation: false; set securityContext.capabilities.drop: "
        '["ALL"]; set spec.securityContext.runAsNonRoot: true; '
        "set spec.securityContext.seccompProfile.type to RuntimeDefault"
    )
    assert finding.paths == (
        "spec.containers[0].securityContext.allowPrivilegeEscalation",
        "spec.containers[0].securityContext.capabilities.drop",
        "spec.securityContext.runAsNonRoot",
        "spec.containers[0].securityContext.runAsNonRoot",
        "spec.securityContext.seccompProfile.type",
        "spec.containers[0].securityContext.seccompProfile.type",
    )
    assert not finding.notice


def test_the_cure_says_that_the_fields_of_a_controllers_pod_stand_in_its_template() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}
    spec = pod(hostNetwork=True)["spec"]
    [alone] = inspect({"metadata": {"name": "p"}, "spec": spec})
    [made] = inspect({"metadata": {"name": "p", "ownerReferences": [owner]}, "spec": spec})
    [kept] = inspect({"metadata": {"name": "p", "ownerReferences": [{**owner, "controller": False}]}, "spec": spec})
    assert alone.cure == kept.cure == "remove hostNetwork from spec"
    assert made.cure == f"in the pod template, {alone.cure}"
    assert made.message == alone.message


@pytest.mark.parametrize(
    "document", [pod(), {}, {"spec": {}}, {"metadata": {}}], ids=["secure", "empty", "spec", "meta"]
)
def test_a_pod_that_meets_the_level_gets_no_finding(document: Json) -> None:
    assert inspect(document) == []


def test_the_level_of_the_section_decides() -> None:
    bare = pod(container(securityContext={}), pod_context={"runAsNonRoot": None})
    assert inspect(bare, level="baseline") == []
    assert len(inspect(bare, level="restricted")) == 1


def test_the_version_of_the_section_decides_and_is_printed_as_written() -> None:
    root = pod(pod_context={"runAsUser": 0})
    assert inspect(root, version="v1.22") == []
    [finding] = inspect(root, version="v1.99")
    assert finding.message == 'violates PodSecurity "restricted:v1.99": runAsUser=0 (pod must not set runAsUser=0)'


def test_a_fault_denies_by_default_and_exceptions_may_name_containers() -> None:
    assert (GUARDRAIL.name, GUARDRAIL.order, GUARDRAIL.half) == ("podSecurity", 50, "security")
    assert (GUARDRAIL.default_on_fault, GUARDRAIL.scope) == ("deny", "container")


def test_level_privileged_runs_no_check() -> None:
    context = context_of(pod(hostNetwork=True))
    assert context.pod.spec is not None
    assert pod_security.evaluate("privileged", "latest", None, context.pod.spec) == []


def test_a_malformed_version_is_refused_with_the_cure() -> None:
    spec = context_of(pod()).pod.spec
    assert spec is not None
    with pytest.raises(ValueError, match=r"'v1\.01' is not a Pod Security version; write latest, or v1\.N"):
        pod_security.evaluate("baseline", "v1.01", None, spec)
