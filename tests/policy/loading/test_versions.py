"""A bad edit of a custom resource opens no door: valid sections hold, malformed ones stay as they last were, also for
replicas that start later."""

import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.objects import FakeRest
from webhook.admission.ruleset import check_section
from webhook.kube import conditions
from webhook.kube.watch_wire import meta_of
from webhook.policy.loading import versions
from webhook.policy.loading.resources import Combined, ResourcePolicies

Object = dict[str, Any]
NOW = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
SECURITY = {"level": "restricted"}
SIZING = {"minChangePercent": 7}
LABELS = {"required": [{"key": "team"}]}
TOO_LITTLE = {"limitHeadroom": {"cpu": 0.5}}
PATHS = {"GuardrailPolicy": "guardrailpolicies", "Budget": "budgets", "PriceList": "pricelists"}


def guardrails(**spec: object) -> Object:
    return {"mode": "enforce", "match": {"namespaces": ["team-*"]}, **spec}


def budget(amount: str = "10", currency: str = "USD", **spec: object) -> Object:
    return {"mode": "enforce", "scope": {"cluster": True}, "amount": amount, "currency": currency, **spec}


def prices(currency: str = "USD", **spec: object) -> Object:
    rates = {"cpuCoreHour": "1", "memoryGiBHour": "1", "gpuHour": "1"}
    return {"currency": currency, "onDemand": rates, **spec}


class Cluster:
    """Custom resources in an API server and replicas that watch them; the first one leads."""

    def __init__(self, replicas: int = 1) -> None:
        self.rest = FakeRest()
        self.replicas = [ResourcePolicies(check_section) for _ in range(replicas)]

    def edit(self, spec: object, kind: str = "GuardrailPolicy", name: str = "p") -> None:
        """Store another spec, as an author does; nobody has seen it yet."""
        path = self._path(kind, name)
        before = self.rest.objects.get(path, {})
        metadata = {"name": name, "uid": "u", "generation": before.get("metadata", {}).get("generation", 0) + 1}
        status = {"status": before["status"]} if "status" in before else {}
        self.rest.put(path, {"kind": kind, "metadata": metadata, "spec": spec, **status})

    def watch(self, replica: int = 0) -> None:
        """Bring one replica the news of every object."""
        policies = self.replicas[replica]
        for content in self.rest.objects.values():
            source = next(each for each in policies.sources if each.kind == content["kind"])
            raw = msgspec.Raw(json.dumps(content).encode())
            meta = meta_of(raw)
            source.put(f"{meta.namespace}/{meta.name}", source.decode(raw, meta))
        policies.combine()

    def write(self) -> None:
        """Let the leader write what it finds, about the newest versions that it has seen."""
        policies = self.replicas[0]
        for each in policies.standings(policies.combine()) or ():
            if (
                not each.is_told
                and each.held.version == self.rest.objects[each.held.path]["metadata"]["resourceVersion"]
            ):
                assert conditions.write(self.rest, each.held, each.condition, NOW, each.status)

    def restart(self, replica: int = 0) -> None:
        """Start a replica anew: it remembers nothing."""
        self.replicas[replica] = ResourcePolicies(check_section)

    def settle(self) -> None:
        for _ in range(3):
            for replica in range(len(self.replicas)):
                self.watch(replica)
            self.write()
        for replica in range(len(self.replicas)):
            self.watch(replica)

    def combined(self, replica: int = 0) -> Combined:
        return self.replicas[replica].combine()

    def specs(self, replica: int = 0) -> dict[str, Object]:
        """Return what is in force, as it was written."""
        return {name: dict(version.spec) for (_, _, name), version in self.combined(replica).versions.items()}

    def message(self, kind: str = "GuardrailPolicy", name: str = "p") -> str:
        (condition,) = self.rest.objects[self._path(kind, name)]["status"]["conditions"]
        return f"{condition['reason']}: {condition['message']}"

    @staticmethod
    def _path(kind: str, name: str) -> str:
        return f"/apis/podgate.dev/v1alpha1/{PATHS[kind]}/{name}"


EVERYWHERE = {"mode": "enforce", "podSecurity": SECURITY}
GOOD = guardrails(podSecurity=SECURITY, rightSizing=SIZING, costCeiling={"podMonthly": "5"})


@pytest.mark.parametrize(
    ("edited", "in_force"),
    [
        pytest.param({**GOOD, "rightSizing": TOO_LITTLE}, GOOD, id="one section is malformed"),
        pytest.param(
            {**GOOD, "rightSizing": TOO_LITTLE, "podSecurity": {"level": "baseline"}},
            {**GOOD, "podSecurity": {"level": "baseline"}},
            id="the valid sections of the same edit hold",
        ),
        pytest.param(
            {**GOOD, "rightSizing": TOO_LITTLE, "podSecurity": {"level": "low"}, "mode": "warn"},
            {**GOOD, "mode": "warn"},
            id="two sections are malformed",
        ),
        pytest.param(
            {"mode": "enforce", "match": GOOD["match"], "rightSizing": TOO_LITTLE},
            {"mode": "enforce", "match": GOOD["match"], "rightSizing": SIZING},
            id="what is taken out beside a malformed section is out",
        ),
        pytest.param({**GOOD, "match": {"namespaces": ["TEAM"]}, "podSecurity": {}}, GOOD, id="whom it is for"),
        pytest.param({**GOOD, "mode": False, "podSecurity": {}}, GOOD, id="the mode of all of it"),
        pytest.param({**GOOD, "priority": "high", "podSecurity": {}}, GOOD, id="the priority"),
        pytest.param({**GOOD, "exceptions": {"maxDays": 0}, "podSecurity": {}}, GOOD, id="exceptions"),
        pytest.param("enforce", GOOD, id="no mapping"),
        pytest.param(None, GOOD, id="nothing at all"),
        pytest.param(
            {**{name: each for name, each in GOOD.items() if name != "podSecurity"}, "podSecurty": SECURITY},
            GOOD,
            id="the name of a section is misspelt",
        ),
        pytest.param(
            {**{name: each for name, each in GOOD.items() if name != "match"}, "matches": {}, "podSecurity": {}},
            GOOD,
            id="the name of match is misspelt",
        ),
        pytest.param(
            {**GOOD, "costCeilings": {}, "podSecurity": {"level": "baseline"}},
            {**GOOD, "podSecurity": {"level": "baseline"}},
            id="an unknown field beside valid sections",
        ),
        pytest.param({**GOOD, "podSecurity": None}, GOOD, id="a section without a value"),
        pytest.param(
            {
                **GOOD,
                "match": {"podSelector": {"matchLabels": {"team": "a"}}},
                "costLabels": {"required": [{"key": "team"}]},
            },
            GOOD,
            id="a section that contradicts match",
        ),
    ],
)
@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
def test_a_malformed_edit_leaves_in_force_what_is_valid_and_what_was(
    edited: object, in_force: Object, is_restarted: bool
) -> None:
    cluster = Cluster()
    cluster.edit(GOOD)
    cluster.settle()
    cluster.edit(edited)
    if is_restarted:
        cluster.restart()
    cluster.settle()
    assert cluster.specs() == {"p": in_force}
    assert cluster.message().startswith("Invalid: spec")
    cluster.edit({**GOOD, "mode": "warn"})
    cluster.settle()
    assert cluster.specs() == {"p": {**GOOD, "mode": "warn"}}
    assert cluster.message() == "Accepted: In force."


@pytest.mark.parametrize(
    ("spec", "in_force"),
    [
        (guardrails(podSecurity=SECURITY, rightSizing=TOO_LITTLE), guardrails(podSecurity=SECURITY)),
        (guardrails(podSecurity=SECURITY, podSecurty={}), guardrails(podSecurity=SECURITY)),
        (
            {"mode": "enforce", "podSecurity": SECURITY, "rightSizing": TOO_LITTLE},
            {"mode": "enforce", "podSecurity": SECURITY},
        ),
        ({**EVERYWHERE, "mach": {"namespaces": ["team-a"]}}, None),
        (guardrails(podSecurity=SECURITY, mode="strict"), None),
    ],
)
def test_a_first_version_with_a_malformed_section_holds_as_far_as_it_is_valid(
    spec: Object, in_force: Object | None
) -> None:
    cluster = Cluster()
    cluster.edit(spec)
    cluster.settle()
    assert cluster.specs() == ({"p": in_force} if in_force is not None else {})
    assert len(cluster.combined().problems) == 1


def test_the_condition_says_what_is_wrong_and_which_generation_is_in_force() -> None:
    cluster = Cluster()
    cluster.edit(guardrails(podSecurity=SECURITY))
    cluster.settle()
    cluster.edit(guardrails(podSecurity={"level": "low"}, rightSizing=TOO_LITTLE))
    cluster.settle()
    message = cluster.message()
    assert "spec.podSecurity.level: must be baseline or restricted" in message
    assert "spec.rightSizing.limitHeadroom.cpu: must be a number from 1" in message
    assert message.endswith(
        " In force: generation 2, with podSecurity of generation 1. rightSizing does nothing until mended."
    )
    (*_, last) = [str(each) for each in cluster.combined().problems]
    assert last.endswith("rightSizing does nothing until mended.")
    cluster.edit(guardrails(podSecurity=SECURITY, mode="strict"))
    cluster.settle()
    assert cluster.message().endswith(" In force: generation 2, with podSecurity of generation 1.")


def test_a_section_that_was_taken_out_before_does_not_come_back() -> None:
    cluster = Cluster()
    cluster.edit(GOOD)
    cluster.settle()
    cluster.edit(guardrails(podSecurity=SECURITY))
    cluster.settle()
    cluster.edit(guardrails(podSecurity=SECURITY, rightSizing=TOO_LITTLE))
    cluster.settle()
    assert cluster.specs() == {"p": guardrails(podSecurity=SECURITY)}


def test_a_version_that_the_leader_had_no_time_to_write_reaches_replicas_that_start_after_the_next_edit() -> None:
    cluster = Cluster(replicas=2)
    cluster.edit(guardrails(podSecurity={"level": "baseline"}))
    cluster.settle()
    cluster.edit(guardrails(podSecurity=SECURITY))
    cluster.watch(0)
    cluster.edit(guardrails(podSecurity={"level": "low"}))
    cluster.restart(1)
    cluster.watch(1)
    assert cluster.specs(1)["p"]["podSecurity"] == {"level": "baseline"}
    cluster.settle()
    assert cluster.specs(0) == cluster.specs(1) == {"p": guardrails(podSecurity=SECURITY)}


def test_an_object_that_was_made_anew_inherits_nothing() -> None:
    cluster = Cluster()
    cluster.edit(GOOD)
    cluster.settle()
    (path,) = cluster.rest.objects
    cluster.rest.put(path, {"kind": "GuardrailPolicy", "metadata": {"name": "p", "uid": "other"}, "spec": "nonsense"})
    cluster.watch()
    assert cluster.specs() == {}


@pytest.mark.parametrize(
    "nonsense",
    [
        "text",
        {"generation": "1", "spec": "{}"},
        {"generation": 1, "spec": "{"},
        {"generation": 1, "spec": "[" * 100_000},
        {"generation": 1, "spec": "[]", "olderSections": 4},
        {"generation": 1, "spec": '{"mode":"enforce","match":{"namespaces":["UP"]},"podSecurity":{}}'},
        {"generation": 1, "spec": " " * (versions.MAX_TEXT + 1)},
    ],
)
def test_nonsense_in_the_status_is_as_if_nothing_stood_there(nonsense: object) -> None:
    cluster = Cluster()
    cluster.edit(guardrails(podSecurity=SECURITY, rightSizing=TOO_LITTLE))
    (path,) = cluster.rest.objects
    cluster.rest.put(path, {**cluster.rest.objects[path], "status": {"lastAccepted": nonsense}})
    cluster.settle()
    assert cluster.specs() == {"p": guardrails(podSecurity=SECURITY)}


def test_a_section_that_another_release_wrote_down_and_this_one_cannot_read_does_nothing() -> None:
    cluster = Cluster()
    cluster.edit(guardrails(podSecurity={"level": "low"}, rightSizing=TOO_LITTLE))
    (path,) = cluster.rest.objects
    text = json.dumps(guardrails(podSecurity={"level": "lowest"}, rightSizing=SIZING))
    last = {"generation": 1, "spec": text, "olderSections": []}
    cluster.rest.put(path, {**cluster.rest.objects[path], "status": {"lastAccepted": last}})
    cluster.settle()
    assert cluster.specs() == {"p": guardrails(rightSizing=SIZING)}


def test_a_write_of_what_is_in_force_is_no_change() -> None:
    cluster = Cluster()
    cluster.edit(GOOD)
    cluster.watch()
    before = cluster.replicas[0].changes
    cluster.settle()
    assert cluster.replicas[0].changes == before


# --- kinds without sections, and rules between objects ----------------------------------------------------------------


@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize(
    ("kind", "name", "good", "bad"),
    [
        ("Budget", "b", budget("10"), budget("10", rejectAt=0)),
        ("Budget", "b", budget("10"), budget("10", currency="EUR")),
        ("PriceList", "default", prices(), prices(hoursPerMonth=10_000)),
        ("PriceList", "default", prices(), prices(nodes={"selectors": [{"matchLabels": {"a": "b"}}]})),
    ],
)
def test_a_bad_edit_of_money_leaves_the_whole_last_version_in_force(
    kind: str, name: str, good: Object, bad: Object, is_restarted: bool
) -> None:
    cluster = Cluster()
    cluster.edit(good, kind, name)
    cluster.settle()
    cluster.edit(bad, kind, name)
    if is_restarted:
        cluster.restart()
    cluster.settle()
    assert cluster.specs() == {name: good}
    assert cluster.message(kind, name).endswith(" In force: generation 1.")
    standings = cluster.replicas[0].standings(cluster.combined())
    assert standings is not None
    (standing,) = standings
    assert standing.is_in_force
    assert not standing.condition.holds


@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
def test_another_currency_holds_from_the_moment_when_every_budget_has_it(is_restarted: bool) -> None:
    cluster = Cluster()
    cluster.edit(prices("USD"), "PriceList", "default")
    cluster.edit(budget("1"), "Budget", "a")
    cluster.edit(budget("2"), "Budget", "b")
    cluster.settle()

    def currencies() -> set[str]:
        if is_restarted:
            cluster.restart()
        cluster.settle()
        found = cluster.specs()
        assert set(found) == {"default", "a", "b"}
        return {each["currency"] for each in found.values()}

    cluster.edit(prices("EUR"), "PriceList", "default")
    assert currencies() == {"USD"}
    assert cluster.message("PriceList", "default").startswith(
        "PriceListClash: spec: would take Budget a and 1 more out of force. Change them as well"
    )
    cluster.edit(budget("1", currency="EUR"), "Budget", "a")
    assert currencies() == {"USD"}
    cluster.edit(budget("2", currency="EUR"), "Budget", "b")
    assert currencies() == {"EUR"}
    assert cluster.combined().problems == ()


# --- all replicas answer alike ----------------------------------------------------------------------------------------

VALID: dict[str, list[Any]] = {
    "podSecurity": [{"level": "restricted"}, {"level": "baseline"}],
    "rightSizing": [{"minChangePercent": 1}, {"minChangePercent": 2}],
    "mode": ["enforce", "warn"],
    "match": [{"namespaces": ["a"]}, {"namespaces": ["b"]}],
}
INVALID: Object = {
    "podSecurity": {"level": "low"},
    "rightSizing": TOO_LITTLE,
    "mode": "no",
    "match": {"namespaces": ["A"]},
}
edits = st.fixed_dictionaries(
    {
        name: st.sampled_from([*VALID[name], *VALID[name], INVALID[name]])
        for name in ("podSecurity", "rightSizing", "mode", "match")
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), edits),
        st.tuples(st.just("watch"), st.integers(0, 2)),
        st.tuples(st.just("restart"), st.integers(0, 2)),
        st.tuples(st.just("write"), st.none()),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=40)
@given(steps)
def test_all_replicas_answer_alike_whatever_they_saw_and_whenever_they_started(taken: list[tuple[str, Any]]) -> None:
    cluster = Cluster(replicas=3)
    cluster.edit({name: values[0] for name, values in VALID.items()})
    cluster.settle()
    for name, argument in taken:
        if name == "write":
            cluster.write()
        else:
            getattr(cluster, name)(argument)
        for replica in range(3):
            # Nobody ever took it out, so it is never out.
            assert not cluster.specs(replica) or "podSecurity" in cluster.specs(replica)["p"]
    cluster.settle()
    first, *others = [cluster.combined(replica) for replica in range(3)]
    assert all(each.versions == first.versions for each in others)
    assert all(each.set.fingerprint == first.set.fingerprint for each in others)
    assert first.set.policies
