"""Reviews that nobody can read: a refusal where something enforces, a warning elsewhere, and never an error."""

import json
from typing import Any

import pytest

from tests import factories
from tests.factories import World, policy
from webhook.admission import unread
from webhook.admission.engine import PHASES
from webhook.admission.head import Head

GUARDS = "podSecurity: {level: restricted, harden: true}\ncostCeiling: {podMonthly: '300'}"
BUDGET = "mode: {}\nscope: {{namespaces: ['team-*']}}\namount: '100'\ncurrency: USD\nperiod: monthly"
TOO_LARGE = unread.too_large(32)

BROKEN = factories.pod(priority="high")


def world(mode: str, *more: str, match: str = "") -> World:
    return World(policy(f"mode: {mode}\n{match}\n{GUARDS}"), *more)


def about(document: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:  # noqa: ANN401
    return factories.review(BROKEN if document is None else document, **request)


def by_head(world: World, path: str, why: unread.UnreadReview, **request: Any) -> factories.Answer:  # noqa: ANN401
    """Answer a review of which only its head is known."""
    head = Head(json.dumps(about(**request)).encode())
    assert head.is_review
    encoded, after = world.engine.answer_unread(path, head.request(), why)
    before = len(world.lines)
    if after is not None:
        after()
    response = json.loads(encoded)["response"]
    return factories.Answer(response, json.loads(world.lines[-1]) if len(world.lines) > before else None)


@pytest.mark.parametrize("path", PHASES)
@pytest.mark.parametrize("kind", ["Pod", "Deployment", "CronJob"])
@pytest.mark.parametrize("how", ["broken", "too large"])
def test_what_cannot_be_read_is_refused_in_one_line_where_something_enforces(path: str, kind: str, how: str) -> None:
    enforcing = world("enforce")
    document = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"labels": [1]}, "spec": [1]}

    if how == "broken":
        answer = enforcing.call(path, about(document))
    else:
        answer = by_head(enforcing, path, TOO_LARGE, document=document)

    assert answer.response["uid"] == "review-1"
    assert not answer.allowed
    assert answer.response["status"]["code"] == 403
    assert answer.message.startswith("policy team, ")
    assert "not judged, because" in answer.message
    assert "; to fix: " in answer.message
    assert answer.message.isprintable()
    assert answer.message.count("policy ") == 1
    assert answer.entry is not None
    assert answer.entry["verdict"] == "refused"


@pytest.mark.parametrize("path", PHASES)
@pytest.mark.parametrize("mode", ["audit", "warn"])
@pytest.mark.parametrize("how", ["broken", "too large"])
def test_it_is_let_in_with_a_warning_where_nothing_enforces(path: str, mode: str, how: str) -> None:
    holding = world(mode)

    answer = holding.call(path, about()) if how == "broken" else by_head(holding, path, TOO_LARGE)

    assert answer.allowed
    assert "patch" not in answer.response
    assert len(answer.warnings) == 1
    assert "not judged, because" in answer.warnings[0]
    assert "; to fix: " in answer.warnings[0]


@pytest.mark.parametrize("path", PHASES)
def test_the_cap_of_the_whole_process_holds(path: str) -> None:
    capped = World(policy(f"mode: enforce\n{GUARDS}"), cap="audit")
    assert by_head(capped, path, TOO_LARGE).allowed


def test_a_violation_that_only_warns_refuses_nothing() -> None:
    section = "mode: enforce\npodSecurity: {level: restricted, onViolation: warn}"
    assert by_head(World(policy(section)), "/validate", TOO_LARGE).allowed


@pytest.mark.parametrize(
    ("path", "refused"), [("/validate/security", True), ("/validate/cost", False), ("/validate", True)]
)
def test_each_half_answers_for_its_own_guardrails(path: str, refused: bool) -> None:
    security = World(policy("mode: enforce\npodSecurity: {level: restricted}"))
    answer = by_head(security, path, TOO_LARGE)
    assert answer.allowed is not refused
    assert bool(answer.warnings) is not refused


@pytest.mark.parametrize(("mode", "allowed"), [("enforce", False), ("warn", True), ("audit", True)])
def test_a_budget_counts_as_well(mode: str, allowed: bool) -> None:
    world = World(policy(BUDGET.format(mode), "all", "Budget"))
    assert by_head(world, "/validate/cost", TOO_LARGE).allowed is allowed
    assert by_head(world, "/validate/cost", TOO_LARGE, namespace="other").allowed
    assert by_head(world, "/validate/security", TOO_LARGE).allowed


NOT_JUDGED: dict[str, dict[str, Any]] = {
    "another kind": {"document": {"kind": "ConfigMap", "apiVersion": "v1"}},
    "a pod of another group": {"kind": {"group": "example.com", "version": "v1", "kind": "Pod"}},
    "deletion": {"operation": "DELETE"},
    "connection": {"operation": "CONNECT"},
    "status of a pod": {"operation": "UPDATE", "subResource": "status"},
    "an excluded namespace": {"namespace": "kube-system"},
}


@pytest.mark.parametrize("path", PHASES)
@pytest.mark.parametrize("name", NOT_JUDGED)
def test_what_is_never_judged_passes_without_a_word(path: str, name: str) -> None:
    answer = by_head(world("enforce"), path, TOO_LARGE, **NOT_JUDGED[name])
    assert answer.response == {"uid": "review-1", "allowed": True}
    assert answer.entry is None


def test_a_namespace_that_no_policy_names_is_warned() -> None:
    answer = by_head(world("enforce", match="match: {namespaces: [other]}"), "/validate", TOO_LARGE)
    assert answer.allowed
    (warning,) = answer.warnings
    assert warning.startswith("Podgate: not judged, because the review is larger than 32 MiB; to fix: shorten ")


@pytest.mark.parametrize(
    ("match", "request_fields", "allowed"),
    [
        pytest.param("podSelector: {matchLabels: {app: other}}", {}, False, id="labels may be any"),
        pytest.param("excludeSubjects: {users: [jane]}", {}, True, id="who is excluded stays so"),
        pytest.param("excludeSubjects: {users: [joe]}", {}, False, id="somebody else is excluded"),
        pytest.param("namespaceSelector: {matchLabels: {env: prod}}", {}, False, id="a namespace nobody knows"),
        pytest.param("excludeNamespaces: [team-alpha]", {}, True, id="excluded by the policy"),
        pytest.param("namespaces: [other]", {"namespace": None}, False, id="the namespace is not known"),
    ],
)
def test_what_is_unknown_counts_as_if_it_matched(match: str, request_fields: dict[str, Any], allowed: bool) -> None:
    enforcing = world("enforce", match=f"match: {{{match}}}")
    assert by_head(enforcing, "/validate", TOO_LARGE, **request_fields).allowed is allowed


def test_of_a_known_namespace_a_policy_of_higher_rank_speaks_alone() -> None:
    above = policy(f"mode: audit\npriority: 10\nmatch: {{namespaces: ['team-*']}}\n{GUARDS}", "above")
    below = policy(f"mode: enforce\n{GUARDS}", "below")
    known = World(above, below, cluster=[factories.namespace("team-alpha")])
    assert by_head(known, "/validate", TOO_LARGE).allowed


@pytest.mark.parametrize(
    ("operation", "subresource", "path", "allowed"),
    [
        ("UPDATE", "", "/validate", False),
        ("UPDATE", "ephemeralcontainers", "/validate/security", False),
        ("UPDATE", "resize", "/validate/cost", False),
        ("UPDATE", "", "/mutate", True),
    ],
)
def test_updates_of_pods_are_refused_by_those_who_look_at_them(
    operation: str, subresource: str, path: str, allowed: bool
) -> None:
    enforcing = world("enforce", policy(BUDGET.format("enforce"), "all", "Budget"))
    assert by_head(enforcing, path, TOO_LARGE, operation=operation, subResource=subresource).allowed is allowed


@pytest.mark.parametrize("why", [unread.OVERLOADED, unread.WAITED, unread.too_slow(10)], ids=lambda why: why.what)
def test_want_of_room_or_time_is_decided_by_on_fault(why: unread.UnreadReview) -> None:
    denying = World(policy("mode: enforce\npodSecurity: {level: restricted}"))
    letting = World(policy("mode: enforce\npodSecurity: {level: restricted, onFault: allow}"))

    refused = by_head(denying, "/validate", why)

    assert not refused.allowed
    assert why.what in refused.message
    assert by_head(letting, "/validate", why).allowed
    assert by_head(denying, "/mutate", why).allowed
    assert by_head(denying, "/validate", why, document=factories.deployment()).allowed


@pytest.mark.parametrize("why", [unread.OVERLOADED, unread.WAITED, unread.too_slow(10)], ids=lambda why: why.what)
@pytest.mark.parametrize("fault", ["", "\nonFault: allow", "\nonFault: deny"])
@pytest.mark.parametrize(("mode", "refuses"), [("enforce", True), ("warn", False), ("audit", False)])
def test_nobody_spends_unbooked_for_want_of_room_or_time(
    why: unread.UnreadReview, fault: str, mode: str, *, refuses: bool
) -> None:
    paid = World(policy(BUDGET.format(mode) + fault, "all", "Budget"))

    for path in ("/validate", "/validate/cost"):
        answer = by_head(paid, path, why)
        assert answer.allowed is not refuses
        assert not refuses or ("try again" in answer.message and "policy all, budget" in answer.message)
        assert by_head(paid, path, why, namespace="other").allowed
        assert by_head(paid, path, why, document=factories.deployment()).allowed
    assert by_head(paid, "/validate/security", why).allowed
    assert by_head(paid, "/mutate", why).allowed


@pytest.mark.parametrize("fault", ["allow", "deny"])
def test_where_no_budget_pays_for_it_want_of_room_or_time_is_decided_by_on_fault(fault: str) -> None:
    ceiling = policy(f"mode: enforce\ncostCeiling: {{podMonthly: '1', onFault: {fault}}}")
    both = World(ceiling, policy(BUDGET.format("enforce"), "all", "Budget"))

    assert by_head(both, "/validate", unread.WAITED, namespace="other").allowed is (fault == "allow")


def test_every_such_answer_is_counted_by_its_reason() -> None:
    enforcing = world("enforce")
    enforcing.call("/validate", about())
    by_head(enforcing, "/validate", TOO_LARGE)
    by_head(enforcing, "/mutate", unread.OVERLOADED)
    by_head(enforcing, "/mutate", TOO_LARGE, namespace="kube-system")
    assert enforcing.engine.unjudged.counts == {
        ("/validate", "undecodable"): 1,
        ("/validate", "too_large"): 1,
        ("/mutate", "overloaded"): 1,
    }


@pytest.mark.parametrize("path", PHASES)
def test_a_pod_of_more_containers_than_can_be_stored_is_not_judged(path: str) -> None:
    enforcing, holding = world("enforce"), world("audit")
    pod = factories.pod(*({"name": f"c{number}", "image": "registry.example/i:1"} for number in range(10_001)))

    assert "10,001 containers" in enforcing.call(path, about(pod)).message
    assert holding.call(path, about(pod)).allowed
    assert holding.engine.unjudged.counts == {(path, "too_many_containers"): 1}


UNREADABLE: dict[str, tuple[bytes, bytes]] = {
    "a label is a number": (b'"shop"', b"5"),
    "not UTF-8": (b'"shop"', b'"\xff\xfe"'),
    "half a surrogate pair": (b'"shop"', rb'"\ud800"'),
    "a raw control character": (b'"shop"', b'"a\nb"'),
    "user of the wrong type": (b'"jane"', b"7"),
    "name of the wrong type": (b'"operation"', b'"name": [1], "operation"'),
    "a huge number": (b'"status": {}', b'"status": {"phase": 1e9999}'),
    "cut off": (b'"oldObject"', b""),
    "something behind it": (b'"dryRun": false}}', b'"dryRun": false}} {}'),
}


@pytest.mark.parametrize("path", PHASES)
@pytest.mark.parametrize("name", UNREADABLE)
def test_whatever_is_wrong_inside_a_review_there_is_a_verdict(path: str, name: str) -> None:
    old, new = UNREADABLE[name]
    body = json.dumps(factories.review(factories.pod())).encode()
    assert old in body
    body = body.replace(old, new) if new else body[: body.index(old)]

    for mode, allowed in (("enforce", False), ("audit", True)):
        encoded, _ = world(mode).engine.answer(path, body)
        response = json.loads(encoded)["response"]
        assert response["uid"] == "review-1"
        assert response["allowed"] is allowed
        for text in (response.get("status", {}).get("message", ""), *response.get("warnings", ())):
            assert text.isprintable()
            assert len(text) < 600
