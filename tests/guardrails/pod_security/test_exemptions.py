"""What PolicyExceptions take out of a judgement: checks, containers, and never the pod level with a container."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, context_of, pod, secure
from webhook.guardrails import pod_security
from webhook.guardrails.base.contract import Exemption
from webhook.policy.pod_security import PodSecuritySection

GUARDRAIL = pod_security.GUARDRAIL
BARE = pod(
    container("web", securityContext={}),
    container("importer", securityContext={}),
    pod_context={"runAsNonRoot": None, "seccompProfile": None},
)
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/importer"
SECCOMP = "container.seccomp.security.alpha.kubernetes.io/importer"


def judge(document: Json, *exemptions: Exemption, level: str = "restricted", version: str = "latest") -> str:
    """Return the message of the guardrail under these exemptions; empty where the pod passes."""
    rule = GUARDRAIL.compile(PodSecuritySection.model_validate({"level": level, "version": version}))
    context = context_of(document)
    context.exemptions = {"podSecurity": exemptions, "spot": (Exemption(),)}
    return "".join(finding.message for finding in GUARDRAIL.inspect(rule, context))


def leave(*controls: str, containers: tuple[str, ...] = ()) -> Exemption:
    """Return an exemption of these controls (none means all) for these containers (none means all)."""
    return Exemption(frozenset(controls) or None, frozenset(containers) or None)


def reasons(message: str) -> list[str]:
    """Return the reasons of a message in their order."""
    _, _, text = message.partition(": ")
    return [part.partition(" (")[0] for part in text.split("), ")] if text else []


ALL_REASONS = [
    "allowPrivilegeEscalation != false",
    "unrestricted capabilities",
    "runAsNonRoot != true",
    "seccompProfile",
]


def test_without_exemptions_everything_is_judged() -> None:
    assert reasons(judge(BARE)) == ALL_REASONS


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        ("allowPrivilegeEscalation", "allowPrivilegeEscalation != false"),
        ("capabilities", "unrestricted capabilities"),
        ("capabilities_restricted", "unrestricted capabilities"),
        ("runAsNonRoot", "runAsNonRoot != true"),
        ("seccompProfile", "seccompProfile"),
        ("seccompProfile_restricted", "seccompProfile"),
    ],
)
def test_a_control_takes_out_its_check_alone(control: str, reason: str) -> None:
    assert reasons(judge(BARE, leave(control))) == [other for other in ALL_REASONS if other != reason]


@pytest.mark.parametrize("control", ["privileged", "capabilities_baseline", "hostPorts", "unknown"])
def test_a_control_of_another_check_takes_out_nothing(control: str) -> None:
    assert judge(BARE, leave(control)) == judge(BARE)


def test_a_short_name_covers_both_levels_of_a_check() -> None:
    unmasked = pod(container(securityContext=secure(procMount="Unmasked")))
    for level in ("baseline", "restricted"):
        assert reasons(judge(unmasked, level=level)) == ["procMount"]
        assert judge(unmasked, leave("procMount"), level=level) == ""


def test_a_container_is_taken_out_of_the_named_check_alone() -> None:
    message = judge(BARE, leave("runAsNonRoot", containers=("importer",)))
    assert 'pod or container "web" must set securityContext.runAsNonRoot=true' in message
    assert 'containers "web", "importer" must set securityContext.allowPrivilegeEscalation=false' in message


def test_a_container_without_controls_is_taken_out_of_every_check() -> None:
    assert "importer" not in judge(BARE, leave(containers=("importer",)))
    assert reasons(judge(BARE, leave(containers=("importer",)))) == ALL_REASONS
    assert judge(BARE, leave(containers=("importer", "web"))) == ""


def test_exemptions_add_up() -> None:
    exemptions = (
        leave("runAsNonRoot", containers=("importer",)),
        leave("runAsNonRoot", containers=("web",)),
        leave("capabilities", "seccompProfile"),
    )
    assert reasons(judge(BARE, *exemptions)) == ["allowPrivilegeEscalation != false"]


def test_an_exemption_of_everything_leaves_nothing() -> None:
    assert judge(BARE, leave()) == ""


@pytest.mark.parametrize(
    "document",
    [
        pod(container("importer"), pod_context={"runAsNonRoot": False}),
        pod(container("importer"), pod_context={"seccompProfile": {"type": "Unconfined"}}),
        pod(container("importer"), hostNetwork=True),
        pod(container("importer"), volumes=[{"name": "v", "hostPath": {}}]),
    ],
    ids=["runAsNonRoot", "seccomp", "host network", "volume"],
)
def test_an_exempt_container_does_not_excuse_the_pod_level(document: Json) -> None:
    message = judge(document, leave(containers=("importer",)))
    assert message == judge(document)
    assert message


@pytest.mark.parametrize(
    ("key", "version"),
    [(APP_ARMOR, "latest"), (SECCOMP, "v1.18")],
    ids=["AppArmor", "seccomp"],
)
def test_annotations_of_an_exempt_container_are_exempt_with_it(key: str, version: str) -> None:
    document = pod(container("importer"), annotations={key: "unconfined"})
    assert judge(document, version=version, level="baseline")
    assert judge(document, leave(containers=("importer",)), version=version, level="baseline") == ""
    assert judge(document, leave(containers=("other",)), version=version, level="baseline")
