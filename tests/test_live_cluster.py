"""Everything put together over a live cluster: readiness, policies as resources, waiting, and no call on the request
path."""

import asyncio
import contextlib
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from prometheus_client import CollectorRegistry

from tests import factories
from tests.contracts.view import vpa
from tests.fakes.apiserver import PATHS, FakeApiServer
from tests.fakes.live import NOW, client_of
from tests.fakes.objects import FakeRest
from webhook import assembly
from webhook.admission.engine import PHASES
from webhook.admission.log import DecisionLog
from webhook.admission.request import BadReview
from webhook.kube import client
from webhook.kube.rest import Rest
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.shared import SharedLedger
from webhook.ledger.store import Booking, LedgerError
from webhook.serve import ledgers
from webhook.settings import Settings

OPTIONS = {"scale": 0.01}


def resource(spec: str, name: str = "team", kind: str = "GuardrailPolicy") -> dict[str, Any]:
    """Return a policy as a custom resource."""
    made: dict[str, Any] = yaml.safe_load(factories.policy(spec, name, kind))
    return made


LABELS = "{mode: enforce, costLabels: {required: [{key: cost-center}]}}"
TEAM = factories.namespace("team-alpha", {"cost-center": "alpha"})


class Guard:
    """The API server, until it is armed: from then on every call is an error, and is counted."""

    def __init__(self, api: client.Client) -> None:
        self._api = api
        self.armed = False
        self.calls = 0

    def _pass(self) -> None:
        if self.armed:
            self.calls += 1
            raise client.UnreachableError("a call on the request path")

    def get(self, path: str, query: Mapping[str, str] | None = None, /) -> bytes:
        self._pass()
        return self._api.get(path, query)

    def watch(self, path: str, query: Mapping[str, str], idle_seconds: float, /) -> client.Stream:
        self._pass()
        return self._api.watch(path, query, idle_seconds)


class Cluster:
    """A live webhook over the fake API server."""

    def __init__(self, server: FakeApiServer, policies: Path | None, writes: Rest | None = None) -> None:
        settings = Settings.build(cluster="live", policies=policies)
        self.server = server
        self.now = NOW
        self.guard = Guard(client_of(server))
        self.parts = assembly.live(
            settings,
            DecisionLog(io.BytesIO()),
            now=lambda: self.now,
            api=self.guard,
            writes=writes,
            watch_options=OPTIONS,
        )

    @property
    def live(self) -> assembly.PolicySync:
        assert self.parts.cluster is not None
        return self.parts.cluster

    async def eventually(self, holds: Callable[[], bool], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110  what is waited for happens in other threads
                await asyncio.sleep(0.005)

    async def ready(self) -> None:
        await self.eventually(lambda: assembly.policy_problem(self.parts) is None)

    async def ask(self, path: str, document: dict[str, Any], **request: Any) -> factories.Answer:  # noqa: ANN401
        body = msgspec.json.encode(factories.review(document, **request))
        answered = assembly.answer(self.parts, path, body, 10.0)
        encoded, after = answered if isinstance(answered, tuple) else await answered
        if after is not None:
            after()
        return factories.Answer(json.loads(encoded)["response"], None)

    def sample(self, name: str, **labels: str) -> float:
        return self.parts.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def running(
    server: FakeApiServer, policies: Path | None = None, writes: Rest | None = None
) -> AsyncIterator[Cluster]:
    made = Cluster(server, policies, writes)
    made.live.LOOK = 0.01  # type: ignore[misc]  # a test has no time to wait
    made.live.RECOUNT = 0.01  # type: ignore[misc]  # a test has no time to wait
    async with assembly.watching(made.parts):
        yield made


@pytest.fixture
def server() -> Any:  # noqa: ANN401  a generator
    with FakeApiServer() as made:
        made.apply(TEAM)
        yield made


async def test_no_call_is_made_on_the_request_path(server: FakeApiServer) -> None:
    server.apply(
        resource(LABELS), resource(factories.PRICES.partition("spec:")[2].replace("\n  ", "\n"), "default", "PriceList")
    )
    async with running(server) as it:
        await it.ready()
        it.guard.armed = True
        seen = len(server.calls)
        documents = [factories.pod(), factories.deployment(), {"kind": "Service", "metadata": {"name": "s"}}]
        for path in PHASES:
            for document in documents:
                for place in ("team-alpha", "kube-system"):
                    answer = await it.ask(path, document, namespace=place)
                    assert answer.response["uid"] == "review-1"
        assert it.guard.calls == 0
        assert len(server.calls) == seen


async def test_nothing_is_judged_before_everything_is_known(server: FakeApiServer) -> None:
    server.forbidden.add(PATHS["Pod"])
    server.apply(resource(LABELS))
    async with running(server) as it:
        await it.eventually(lambda: "grant it in the ClusterRole" in (assembly.cluster_problem(it.parts) or ""))
        assert assembly.policy_problem(it.parts) is not None
        with pytest.raises(BadReview):
            await it.ask("/mutate", factories.pod())
        server.forbidden.clear()
        await it.ready()
        assert assembly.cluster_problem(it.parts) is None


async def test_policies_as_resources_take_effect_change_and_go(server: FakeApiServer) -> None:
    async with running(server) as it:
        await it.ready()
        assert (await it.ask("/mutate", factories.pod())).patch == []
        server.apply(resource(LABELS))
        await it.eventually(lambda: it.sample("podgate_policy_documents", kind="GuardrailPolicy") == 1)
        assert len((await it.ask("/mutate", factories.pod())).patch) == 1
        server.apply(resource(LABELS.replace("enforce", "strict")))
        await it.eventually(lambda: it.sample("podgate_policy_problems") == 1)
        assert len((await it.ask("/mutate", factories.pod())).patch) == 1
        assert [line.partition(": ")[0] for line in assembly.policy_notices(it.parts)] == ["GuardrailPolicy team"]
        server.delete(resource(LABELS))
        await it.eventually(lambda: it.sample("podgate_policy_problems") == 0)
        assert (await it.ask("/mutate", factories.pod())).patch == []


async def test_a_directory_and_resources_hold_together(server: FakeApiServer, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(factories.policy("{mode: audit, podSecurity: {level: baseline}}", "directory"))
    server.apply(resource(LABELS), resource("{mode: enforce, podSecurity: {level: restricted}}", "directory"))
    async with running(server, tmp_path) as it:
        await it.ready()
        assert len((await it.ask("/mutate", factories.pod())).patch) == 1
        assert (await it.ask("/validate", factories.pod(labels={"cost-center": "alpha"}))).allowed
        (notice,) = assembly.policy_notices(it.parts)
        assert "is defined in" in notice


async def test_missing_kinds_of_policies_are_no_fault(server: FakeApiServer, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(factories.policy(LABELS))
    server.absent = {path for path in PATHS.values() if "podgate.dev" in path or "autoscaling.k8s.io" in path}
    async with running(server, tmp_path) as it:
        await it.ready()
        assert len((await it.ask("/mutate", factories.pod())).patch) == 1
        assert it.sample("podgate_watch_state", resource="budgets", state="absent") == 1
        assert len(assembly.cluster_notices(it.parts)) == 5


# --- what the caches have not seen yet --------------------------------------------------------------------------------


async def test_a_pod_that_is_faster_than_its_namespace_waits_for_it(server: FakeApiServer) -> None:
    server.apply(resource(LABELS))
    async with running(server) as it:
        await it.ready()
        asked = asyncio.create_task(it.ask("/mutate", factories.pod(), namespace="team-new"))
        await asyncio.sleep(0.05)
        assert not asked.done()
        server.apply(factories.namespace("team-new", {"cost-center": "new"}))
        assert [operation["value"] for operation in (await asked).patch] == ["new"]
        assert it.sample("podgate_cache_waits_total", outcome="seen") == 1


async def test_a_pod_that_is_faster_than_its_replica_set_gets_the_recommendation_of_its_deployment(
    server: FakeApiServer,
) -> None:
    made = vpa("v", "Deployment", "shop")
    made["metadata"]["namespace"] = "team-alpha"
    made["status"]["recommendation"]["containerRecommendations"][0]["containerName"] = "app"
    server.apply(
        resource("{mode: enforce, rightSizing: {recommendation: target}}"),
        factories.deployment(namespace="team-alpha"),
        made,
    )
    replica_set = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-x", "uid": "rs", "controller": True}
    document = factories.pod(metadata={"ownerReferences": [replica_set]})
    async with running(server) as it:
        await it.ready()
        asked = asyncio.create_task(it.ask("/mutate", document))
        await asyncio.sleep(0.05)
        assert not asked.done()
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "uid": "", "controller": True}
        metadata = {"name": "shop-x", "namespace": "team-alpha", "uid": "rs", "ownerReferences": [deployment]}
        server.apply({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {}})
        assert any(operation["value"] == "5m" for operation in (await asked).patch)


async def test_after_half_a_second_a_review_is_judged_by_what_is_known(server: FakeApiServer) -> None:
    server.apply(resource(LABELS))
    async with running(server) as it:
        await it.ready()
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer = await it.ask("/validate", factories.pod(), namespace="nowhere")
        assert 0.4 <= loop.time() - started < 2
        assert not answer.allowed
        assert it.sample("podgate_cache_waits_total", outcome="timeout") == 1


async def test_nobody_waits_for_a_watch_that_is_broken(server: FakeApiServer) -> None:
    server.apply(resource(LABELS))
    async with running(server) as it:
        await it.ready()
        server.forbidden.add(PATHS["Namespace"])
        server.drop_watches()
        await it.eventually(lambda: it.sample("podgate_watch_state", resource="namespaces", state="forbidden") == 1)
        assert any(line.startswith("namespaces: answers may") for line in assembly.cluster_notices(it.parts))
        assert not (await it.ask("/validate", factories.pod(), namespace="nowhere")).allowed
        assert it.sample("podgate_cache_waits_total", outcome="timeout") == 0
        assert assembly.cluster_problem(it.parts) is None
        assert it.sample("podgate_watch_errors_total", resource="namespaces", kind="forbidden") >= 1


async def test_nobody_waits_in_excluded_namespaces(server: FakeApiServer) -> None:
    server.apply(resource(LABELS))
    async with running(server) as it:
        await it.ready()
        assert (await it.ask("/validate", factories.pod(), namespace="kube-system")).allowed
        assert it.sample("podgate_cache_waits_total", outcome="timeout") == 0


# --- budgets and schedulers -------------------------------------------------------------------------------------------


async def test_what_runs_counts_against_budgets_as_it_comes_and_goes(server: FakeApiServer) -> None:
    server.apply(
        resource('{mode: enforce, scope: {cluster: true}, amount: "100000", currency: USD}', "all", "Budget"),
    )
    pod = {**factories.stored(factories.pod(factories.container(cpu="2"))), "status": {"phase": "Running"}}
    pod["metadata"]["namespace"] = "team-alpha"
    async with running(server) as it:
        await it.ready()
        assert it.sample("podgate_cache_entries", cache="ledger_pods") == 0
        server.apply(pod)
        await it.eventually(lambda: it.sample("podgate_cache_entries", cache="ledger_pods") == 1)
        server.delete(pod)
        await it.eventually(lambda: it.sample("podgate_cache_entries", cache="ledger_pods") == 0)


@pytest.mark.parametrize("fails", [False, True], ids=["counted", "not countable"])
async def test_a_budget_knows_what_runs_before_it_judges(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    budget = '{mode: enforce, scope: {cluster: true}, amount: "100000", currency: USD}'
    pod = {**factories.stored(factories.pod(factories.container(cpu="2"))), "status": {"phase": "Running"}}
    pod["metadata"]["namespace"] = "team-alpha"
    server.apply(resource(budget, "all", "Budget"), pod)
    recount = MemoryLedger.recount

    def slow(ledger: MemoryLedger, pods: Iterable[Booking]) -> None:
        time.sleep(0.1)
        if fails:
            raise LedgerError("full")
        recount(ledger, pods)

    monkeypatch.setattr(MemoryLedger, "recount", slow)
    async with running(server) as it:
        await it.ready()
        assert it.sample("podgate_cache_entries", cache="ledger_pods") == (0 if fails else 1)


ALPHA = '{mode: enforce, scope: {label: {key: cost-center, value: alpha}}, amount: "200", currency: USD}'
LEDGER = f"{PATHS['BudgetLedger']}/alpha"


def costly(uid: str) -> dict[str, Any]:
    """A pod that takes the whole budget."""
    return factories.pod(
        factories.container(cpu="200", memory="1Gi"), labels={"cost-center": "alpha"}, metadata={"uid": uid}
    )


async def test_a_pod_that_is_let_in_is_booked_where_all_replicas_see_it(server: FakeApiServer) -> None:
    server.apply(resource(ALPHA.replace("200", "200000"), "alpha", "Budget"))
    rest = FakeRest()
    async with running(server, writes=rest) as it:
        await it.ready()
        assert (await it.ask("/validate", costly("p"), dryRun=True)).allowed
        assert (await it.ask("/mutate", costly("p"))).allowed
        assert (await it.ask("/validate/security", costly("p"))).allowed
        assert rest.calls == []
        for _ in range(2):
            assert (await it.ask("/validate/cost", costly("p"))).allowed
        lines = rest.objects[LEDGER]["status"]["reservations"].splitlines()
        assert [line.split()[0] for line in lines] == ["p"]
        assert [method for method, _ in rest.calls] == ["GET", "POST", "PUT"]
        assert assembly.cluster_notices(it.parts) == []
        assert it.parts.ledger is not None
        assert it.parts.ledger.committed("alpha") > 0
        assert set(assembly.budget_terms(it.parts)) == {"alpha"}


async def test_a_review_waits_for_its_booking_without_holding_up_others(server: FakeApiServer) -> None:
    server.apply(resource(ALPHA.replace("200", "200000"), "alpha", "Budget"))
    rest, gate = FakeRest(), threading.Event()
    rest.before = lambda _method, _path: gate.wait(5)  # type: ignore[assignment]
    async with running(server, writes=rest) as it:
        await it.ready()
        waiting = asyncio.create_task(it.ask("/validate", costly("p")))
        await asyncio.sleep(0.05)
        assert (await it.ask("/mutate", costly("q"))).allowed
        assert not waiting.done()
        gate.set()
        assert (await waiting).allowed


@pytest.mark.parametrize("fault", ["allow", "deny"])
async def test_what_cannot_be_booked_is_decided_by_the_budget(server: FakeApiServer, fault: str) -> None:
    budget = ALPHA.replace("200", "200000")[:-1] + f", onFault: {fault}}}"
    server.apply(resource(budget, "alpha", "Budget"))
    rest = FakeRest()

    def before(_method: str, path: str) -> None:
        raise client.ForbiddenError(f"PUT {path}: forbidden", 403)

    rest.before = before
    async with running(server, writes=rest) as it:
        await it.ready()
        answer = await it.ask("/validate", costly("p"))
        assert answer.allowed is (fault == "allow")
        assert any("forbidden" in line for line in assembly.cluster_notices(it.parts))
        if fault == "deny":
            assert "could not be booked" in answer.message
            assert "\n" not in answer.message


async def test_without_the_kind_each_replica_books_by_itself_and_says_so(server: FakeApiServer) -> None:
    server.absent = {PATHS["BudgetLedger"]}
    server.apply(resource(ALPHA, "alpha", "Budget"))
    rest = FakeRest()
    async with running(server, writes=rest) as it:
        await it.ready()
        await it.eventually(lambda: any("books by itself" in line for line in assembly.cluster_notices(it.parts)))
        cheap = factories.pod(labels={"cost-center": "alpha"}, metadata={"uid": "p"})
        assert (await it.ask("/validate", cheap)).allowed
        assert rest.calls == []
        assert it.parts.ledger is not None
        assert it.parts.ledger.size() == 1


@pytest.mark.parametrize("shares", [False, True], ids=["no ledger to share", "the kind is absent"])
async def test_whoever_books_by_itself_gives_back_what_somebody_else_refused_though_no_pod_changes(
    server: FakeApiServer, *, shares: bool
) -> None:
    server.absent = {PATHS["BudgetLedger"]}
    server.apply(resource(ALPHA, "alpha", "Budget"))
    async with running(server, writes=FakeRest() if shares else None) as it:
        await it.ready()
        ledger = it.parts.ledger
        assert ledger is not None
        assert (
            await it.ask("/validate", factories.pod(labels={"cost-center": "alpha"}, metadata={"uid": "p"}))
        ).allowed
        assert ledger.committed("alpha") > 0
        it.now += assembly.RESERVATION
        await asyncio.sleep(0.05)
        assert ledger.committed("alpha") > 0
        it.now += timedelta(seconds=1)
        await it.eventually(lambda: ledger.committed("alpha") == 0)


async def test_nobody_waits_for_the_watch_of_ledgers(server: FakeApiServer) -> None:
    server.forbidden.add(PATHS["BudgetLedger"])
    server.apply(resource(ALPHA, "alpha", "Budget"))
    async with running(server, writes=FakeRest()) as it:
        await it.ready()
        assert assembly.cluster_problem(it.parts) is None
        await it.eventually(lambda: any("budgetledgers" in line for line in assembly.cluster_notices(it.parts)))


async def test_the_leader_keeps_ledgers_for_the_budgets_in_force(server: FakeApiServer) -> None:
    server.apply(resource(ALPHA, "alpha", "Budget"))
    rest = FakeRest()
    async with running(server, writes=rest) as it:
        await it.ready()
        ledger = it.parts.ledger
        assert isinstance(ledger, SharedLedger)
        registry = CollectorRegistry()
        registry.register(ledgers.LedgerCollector(ledger))
        registry.register(ledgers.LedgerBudgetCollector(ledger, partial(assembly.budget_terms, it.parts), lambda: NOW))
        is_leading = False
        async with ledgers.LedgerKeeper(ledger, lambda: is_leading).watching(0.01):
            await asyncio.sleep(0.05)
            assert rest.objects == {}
            is_leading = True
            await it.eventually(lambda: LEDGER in rest.objects and "status" in rest.objects[LEDGER])
        assert registry.get_sample_value("podgate_ledger_writes_total", {"outcome": "written"}) == 1
        assert registry.get_sample_value("podgate_ledger_write_duration_seconds_count") == 1
        assert registry.get_sample_value("podgate_ledger_shared") == 1
        assert registry.get_sample_value("podgate_ledger_reservations") == 0
        assert registry.get_sample_value("podgate_ledger_restored_total", {"reason": "Deleted"}) == 0
        assert registry.get_sample_value("podgate_budget_committed", {"budget": "alpha"}) == 0
        assert registry.get_sample_value("podgate_budget_limit", {"budget": "alpha"}) == pytest.approx(
            200 / 730, rel=1e-5
        )


async def test_pods_go_to_the_packing_scheduler_only_while_its_lease_is_fresh(server: FakeApiServer) -> None:
    def lease(age: int) -> dict[str, Any]:
        renewed = (NOW - timedelta(seconds=age)).isoformat()
        spec = {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": renewed}
        return {"kind": "Lease", "metadata": {"name": "packer", "namespace": "kube-system"}, "spec": spec}

    server.apply(resource("{mode: enforce, binPacking: {schedulerName: packer}}"), lease(21))
    async with running(server) as it:
        await it.ready()
        await it.eventually(lambda: it.live.view.sizes()["leases"] == 1)
        answer = await it.ask("/mutate", factories.pod())
        assert answer.patch == []
        assert any("holds no fresh Lease" in line for line in answer.warnings)
        assert it.sample("podgate_scheduler_not_alive_total", scheduler="packer") == 1
        assert it.sample("podgate_scheduler_alive", scheduler="packer") == 0
        assert any("scheduler packer" in line for line in assembly.cluster_notices(it.parts))
        server.apply(lease(1))
        await it.eventually(lambda: it.sample("podgate_scheduler_alive", scheduler="packer") == 1)
        assert [each["value"] for each in (await it.ask("/mutate", factories.pod())).patch] == ["packer"]


async def test_a_scheduler_that_never_ran_is_told_to_the_platform_team_and_not_to_users(server: FakeApiServer) -> None:
    server.apply(resource("{mode: enforce, binPacking: {schedulerName: packer}}"))
    async with running(server) as it:
        await it.ready()
        await it.eventually(lambda: it.live.watches.has_listed("leases/packer"))
        answer = await it.ask("/mutate", factories.pod())
        assert (answer.patch, answer.warnings) == ([], [])
        assert 'there is no Lease of scheduler "packer"' in answer.notes["findings"]
        assert it.sample("podgate_scheduler_known", scheduler="packer") == 0
        assert it.sample("podgate_scheduler_alive", scheduler="packer") == 0
        assert it.sample("podgate_scheduler_not_alive_total", scheduler="packer") == 1
        (notice,) = assembly.cluster_notices(it.parts)
        assert notice.startswith("scheduler packer has no Lease in kube-system, podgate, so binPacking leaves pods")
        standings = it.live.standings()
        assert standings is not None
        (standing,) = standings
        assert standing.condition.holds
        assert standing.condition.message == f"In force. {notice}."


async def test_nobody_looks_for_the_scheduler_of_a_section_that_is_off(server: FakeApiServer) -> None:
    server.apply(resource("{mode: enforce, binPacking: {mode: 'off', schedulerName: packer}}"))
    async with running(server) as it:
        await it.ready()
        assert it.live.schedulers.states() == {}


def test_a_cluster_that_cannot_be_configured_is_one_line_with_the_cure(tmp_path: Path) -> None:
    broken = tmp_path / "kubeconfig"
    broken.write_text("clusters: 3\n")
    with pytest.raises(client.ConfigError) as caught:
        client.connect(broken)
    assert "--kubeconfig FILE" in str(caught.value)
    assert "\n" not in str(caught.value)
