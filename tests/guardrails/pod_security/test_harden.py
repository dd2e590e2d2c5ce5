"""`harden` fills in what is unset, makes the pod pass or leaves it alone, and gives a patch that does the same."""

import json
from typing import Any, cast

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.guardrails.pod_security.tables import Json, container, context_of, decode, pod, secure
from webhook.guardrails import pod_security
from webhook.guardrails.base.contract import Context, Exemption, WorkloadScale
from webhook.kube.patch import Draft, Operation
from webhook.policy.pod_security import PodSecuritySection

GUARDRAIL = pod_security.GUARDRAIL
UNSET = {"runAsNonRoot": None, "seccompProfile": None}


def bare(*containers: Json, **spec: Any) -> Json:  # noqa: ANN401  any JSON value
    """Return a pod that sets nothing of what restricted asks for."""
    context = UNSET | spec.pop("pod_context", {})
    return pod(*(containers or (container(securityContext=None),)), pod_context=context, **spec)


def propose(context: Context, *, version: str = "latest", harden: bool = True, level: str = "restricted") -> Draft:
    """Let the guardrail change the pod of a review."""
    section = PodSecuritySection.model_validate({"level": level, "version": version, "harden": harden})
    draft = Draft(context.pod)
    assert GUARDRAIL.propose is not None
    assert GUARDRAIL.propose(GUARDRAIL.compile(section), context, draft) == ()
    return draft


def hardened(document: Json, *exemptions: Exemption, version: str = "latest") -> Json:
    """Return the document with the patch of the guardrail applied."""
    context = context_of(document)
    if exemptions:
        context.exemptions = {"podSecurity": exemptions}
    return patched(document, propose(context, version=version).operations)


def patched(document: Json, operations: list[Operation]) -> Json:
    """Return the document after an independent implementation applied the patch."""
    return cast("Json", jsonpatch.apply_patch(document, json.dumps(operations)))


def test_a_bare_pod_gets_all_that_is_unset() -> None:
    document = bare(
        container("web", securityContext=None),
        container("low", securityContext={"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["KILL"]}}),
        initContainers=[container("init")],
    )
    spec = hardened(document)["spec"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert spec["containers"][0]["securityContext"] == secure()
    assert spec["containers"][1]["securityContext"] == secure(
        capabilities={"add": ["NET_BIND_SERVICE"], "drop": ["KILL", "ALL"]}
    )
    assert spec["initContainers"] == document["spec"]["initContainers"]


@pytest.mark.parametrize(
    ("document", "version", "expected"),
    [
        (bare(container()), "v1.18", {"runAsNonRoot": True}),
        (bare(container(), hostUsers=False), "latest", {"seccompProfile": {"type": "RuntimeDefault"}}),
        (bare(container(), os={"name": "windows"}), "latest", {"runAsNonRoot": True}),
        (bare(container(securityContext=secure(runAsNonRoot=True))), "v1.18", {}),
        (
            bare(container(securityContext=secure(seccompProfile={"type": "Localhost"}))),
            "latest",
            {"runAsNonRoot": True},
        ),
        (pod(pod_context={"runAsNonRoot": None, "runAsUser": 7}), "latest", pod(pod_context={"runAsUser": 7})),
    ],
    ids=["old version", "user namespace", "windows", "containers say so", "containers have one", "with a user"],
)
def test_only_what_level_and_version_need_is_filled_in(document: Json, version: str, expected: Json) -> None:
    expected_context = expected["spec"]["securityContext"] if "spec" in expected else expected
    assert hardened(document, version=version)["spec"]["securityContext"] == expected_context


@pytest.mark.parametrize(
    ("document", "version"),
    [
        (bare(pod_context={"runAsNonRoot": False}), "latest"),
        (bare(container(securityContext={"runAsNonRoot": False})), "latest"),
        (bare(pod_context={"runAsUser": 0}), "latest"),
        (bare(pod_context={"runAsUser": 0}), "v1.22"),
        (bare(container(securityContext=secure(runAsUser=0))), "v1.22"),
        (bare(pod_context={"seccompProfile": {}}), "latest"),
        (bare(container(securityContext={"seccompProfile": {"type": "Unconfined"}})), "latest"),
        (bare(container(securityContext={"allowPrivilegeEscalation": True})), "latest"),
        (bare(container(securityContext={"privileged": True})), "latest"),
        (bare(container(securityContext={"capabilities": {"add": ["CHOWN"]}})), "latest"),
        (bare(hostNetwork=True), "latest"),
        (bare(volumes=[{"name": "v", "hostPath": {}}]), "latest"),
        (bare(os={"name": "windows"}), "v1.24"),
        (pod(pod_context={"seccompProfile": None}, os={"name": "windows"}), "v1.24"),
        (pod(container(securityContext=secure(capabilities=None)), os={"name": "windows"}), "v1.24"),
        (pod(container(securityContext=secure(allowPrivilegeEscalation=None)), os={"name": "windows"}), "v1.24"),
    ],
    ids=lambda value: value if isinstance(value, str) else "pod",
)
def test_a_pod_that_cannot_be_made_to_pass_is_left_as_it_is(document: Json, version: str) -> None:
    assert hardened(document, version=version) == document


def test_root_is_no_obstacle_where_the_container_promises_otherwise() -> None:
    document = bare(container("a"), container("b", securityContext=secure(runAsUser=0, runAsNonRoot=True)))
    assert hardened(document, version="v1.22")["spec"]["securityContext"]["runAsNonRoot"] is True


def test_a_container_user_overrides_the_root_of_the_pod() -> None:
    document = bare(container(securityContext=secure(runAsUser=7)), pod_context={"runAsUser": 0})
    assert hardened(document, version="v1.22")["spec"]["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("capability", ["SYS_ADMIN", "CAP_SYS_ADMIN"])
def test_escalation_is_not_forbidden_where_the_api_server_would_refuse_it(capability: str) -> None:
    everything_else = Exemption(frozenset({"capabilities", "privileged", "runAsNonRoot", "seccompProfile"}))
    admin = bare(container(securityContext={"capabilities": {"add": [capability]}}))
    privileged = bare(container(securityContext={"privileged": True}))
    for document in (admin, privileged):
        assert hardened(document, everything_else) == document


def test_nothing_reaches_a_container_that_is_exempt() -> None:
    document = bare(container("web", securityContext=None), container("importer", securityContext={"runAsUser": 0}))
    spec = hardened(document, Exemption(None, frozenset({"importer"})))["spec"]
    assert spec["securityContext"] == {}
    assert spec["containers"][0]["securityContext"] == secure(
        runAsNonRoot=True, seccompProfile={"type": "RuntimeDefault"}
    )
    assert spec["containers"][1] == document["spec"]["containers"][1]


def test_what_an_exempt_check_asks_for_is_not_filled_in() -> None:
    spec = hardened(bare(), Exemption(frozenset({"runAsNonRoot"})))["spec"]
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}


def test_nothing_is_proposed_where_it_is_not_asked_for() -> None:
    assert not propose(context_of(bare()), harden=False)
    assert not propose(context_of(bare()), level="baseline")
    assert not propose(context_of(bare(), operation="UPDATE", old_pod=decode(bare())))
    assert not propose(context_of({}))
    assert not propose(context_of(bare(), operation="UPDATE", subresource="ephemeralcontainers"))


def test_templates_are_judged_as_the_hardened_pods_they_will_be() -> None:
    assert propose(context_of(bare(), operation="UPDATE", scale=WorkloadScale("Deployment", 1)))


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy whose None stands for a field that is absent."""
    return st.none() | values


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Return objects with any of the fields; None leaves a field out."""
    return st.fixed_dictionaries(fields).map(lambda found: {k: v for k, v in found.items() if v is not None})


PROFILES = optional(st.sampled_from([{}, {"type": "RuntimeDefault"}, {"type": "Localhost"}, {"type": "Unconfined"}]))
NON_ROOT = st.sampled_from([None, None, True, False])
USERS = st.sampled_from([None, None, 0, 1000])
CAPABILITIES = objects(
    add=optional(st.lists(st.sampled_from(["NET_BIND_SERVICE", "CHOWN", "SYS_ADMIN"]), max_size=2)),
    drop=optional(st.lists(st.sampled_from(["ALL", "KILL"]), max_size=2)),
)
CONTEXTS = objects(
    privileged=st.sampled_from([None, None, None, False, True]),
    allowPrivilegeEscalation=st.sampled_from([None, None, False, True]),
    runAsNonRoot=NON_ROOT,
    runAsUser=USERS,
    seccompProfile=PROFILES,
    capabilities=optional(CAPABILITIES),
)
CONTAINERS = st.lists(optional(CONTEXTS), max_size=3).map(
    lambda contexts: [
        {"name": f"c{number}"} | ({"securityContext": context} if context is not None else {})
        for number, context in enumerate(contexts)
    ]
)
PODS = objects(
    containers=CONTAINERS,
    initContainers=optional(CONTAINERS),
    hostUsers=st.sampled_from([None, None, True, False]),
    hostNetwork=st.sampled_from([None, None, None, True]),
    os=st.sampled_from([None, None, {"name": "linux"}, {"name": "windows"}]),
    securityContext=optional(objects(runAsNonRoot=NON_ROOT, runAsUser=USERS, seccompProfile=PROFILES)),
).map(lambda spec: {"spec": spec})
VERSIONS = st.sampled_from(["latest", "v1.0", "v1.8", "v1.19", "v1.22", "v1.24", "v1.25", "v1.35"])
EXEMPTIONS = st.lists(
    st.builds(
        Exemption,
        optional(st.frozensets(st.sampled_from(["runAsNonRoot", "capabilities", "privileged", "hostNamespaces"]))),
        optional(st.frozensets(st.sampled_from(["c0", "c1"]))),
    ),
    max_size=2,
)


@settings(max_examples=250, deadline=None)
@given(PODS, VERSIONS, EXEMPTIONS)
def test_a_hardened_pod_passes_or_is_untouched(document: Json, version: str, exemptions: list[Exemption]) -> None:
    rule = GUARDRAIL.compile(PodSecuritySection.model_validate({"version": version, "harden": True}))
    context = context_of(document)
    context.exemptions = {"podSecurity": exemptions}
    before = GUARDRAIL.inspect(rule, context)

    draft = propose(context, version=version)
    after = GUARDRAIL.inspect(rule, context)

    assert after == (() if draft else before)
    result = patched(document, draft.operations)
    assert decode(result) == draft.pod
    assert not propose(context, version=version), "a second pass changes nothing"
    assert (result == document) is (not draft)


@settings(max_examples=150, deadline=None)
@given(PODS, VERSIONS)
def test_hardening_overwrites_nothing_and_suits_the_operating_system(document: Json, version: str) -> None:
    result = hardened(document, version=version)
    assert _holds(document, result)
    for containers in (result["spec"].get("containers", []), result["spec"].get("initContainers", [])):
        for found in containers:
            context = found.get("securityContext", {})
            if context.get("privileged"):
                assert result == document
    if document["spec"].get("os") == {"name": "windows"}:
        before = document["spec"].get("securityContext", {}) | {"runAsNonRoot": True}
        after = result["spec"].get("securityContext", {}) | {"runAsNonRoot": True}
        assert after == before, "a Windows pod gets no field that only Linux knows"
        assert result["spec"].get("containers") == document["spec"].get("containers")


def _holds(old: object, new: object) -> bool:
    """Whether all that `old` says stands in `new`; lists of scalars may only have grown at their end."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and _holds(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) <= len(new) and all(map(_holds, old, new))
    return old == new
