"""Reviews wait for the caches as long as it may help, and no longer."""

import json
from collections.abc import Awaitable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from tests import factories
from webhook.admission import cache_wait
from webhook.admission.engine import Answered, Engine
from webhook.admission.metrics import Metrics
from webhook.admission.recorder import Recorder
from webhook.kube.objects import OwnerReference
from webhook.kube.pod_devices import PodResourceClaim

POLICY = factories.policy("{mode: enforce, costLabels: {required: [{key: team}]}}")


class Caches:
    """Caches that know everything after some looks, and a clock that the waiting moves."""

    def __init__(self, looks: int) -> None:
        self.left = looks
        self.claims: list[str] = []
        self.now = 0.0
        self.engine = self._engine()
        self.cache_wait = cache_wait.CacheWait(self.lacks, clock=lambda: self.now, sleep=self.sleep)

    def _engine(self) -> Engine:
        world = factories.World(POLICY)
        recorder = Recorder(world, Metrics(CollectorRegistry()), lambda: factories.NOON)
        engine = Engine(
            view=world.view, ledger=world.ledger, recorder=recorder, now=lambda: factories.NOON, lacks=self.lacks
        )
        engine.put_in_force(world.rules)
        return engine

    def lacks(self, _namespace: str, _owner: OwnerReference | None, claims: Sequence[PodResourceClaim]) -> bool:
        self.claims = [each.name for each in claims]
        self.left -= 1
        return self.left >= 0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(
        self, timeout: float | None = 10.0, namespace: str = "team-alpha", **spec: object
    ) -> Answered | Awaitable[Answered]:
        pod = factories.pod()
        pod["spec"].update(spec)
        body = json.dumps(factories.review(pod, namespace=namespace)).encode()
        return self.cache_wait.answer(self.engine, "/validate", body, timeout)


async def answered(asked: Answered | Awaitable[Answered]) -> bytes:
    return asked[0] if isinstance(asked, tuple) else (await asked)[0]


async def test_a_review_that_lacks_nothing_is_answered_at_once() -> None:
    asked = Caches(0).ask()
    assert isinstance(asked, tuple)
    assert b'"allowed":false' in await answered(asked)


async def test_a_review_waits_until_the_caches_know() -> None:
    caches = Caches(5)
    assert b'"allowed":false' in await answered(caches.ask())
    assert caches.now == pytest.approx(4 * cache_wait.STEP)
    assert caches.cache_wait.outcomes == {"seen": 1}


@pytest.mark.parametrize(
    ("seconds", "longest"), [(10.0, 0.5), (None, 0.5), (1.0, 0.25)], ids=["usual", "not said", "short"]
)
async def test_nobody_waits_longer_than_that(seconds: float | None, longest: float) -> None:
    caches = Caches(10_000)
    assert b'"allowed":false' in await answered(caches.ask(seconds))
    assert longest <= caches.now <= longest + 2 * cache_wait.STEP
    assert caches.cache_wait.outcomes == {"timeout": 1}


async def test_a_storm_is_judged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_wait, "MAXIMUM", 0)
    caches = Caches(10_000)
    assert b'"allowed":false' in await answered(caches.ask())
    assert (caches.now, caches.cache_wait.outcomes) == (0, {"crowded": 1})


async def test_an_excluded_namespace_is_never_waited_for() -> None:
    assert isinstance(Caches(10_000).ask(namespace="kube-system"), tuple)


async def test_a_review_waits_for_the_claims_of_its_pod() -> None:
    caches = Caches(1)
    await answered(caches.ask(resourceClaims=[{"name": "gpu", "resourceClaimName": "shared"}]))
    assert caches.claims == ["gpu"]
