"""Pods that a budget has booked and that a real API server refuses nevertheless: the money comes back by itself.

A quota is judged after all webhooks, webhooks are asked at the same time, and a name is found to be taken only when the
pod is stored. So each of them refuses what is booked already.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration import _admission as at
from tests.integration import _refusing
from tests.integration._admission import Installation, eventually
from webhook.ledger.news import HEALTHY_TTL

AMOUNT = "79"
"""Dollars a month: three pods of one core and 1Gi, of $26.17 each."""

WITHIN = HEALTHY_TTL.total_seconds() + 15
"""Seconds in which the money is back: what the leader looks at every few seconds, on a machine that is busy."""


@contextlib.contextmanager
def quota(cluster: Installation, namespace: str) -> Iterator[None]:
    """Let a quota take no further pod."""
    made = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": namespace}}
    used = {"hard": {"pods": "1"}, "used": {"pods": "1"}}
    cluster.kubectl.create({**made, "spec": {"hard": used["hard"]}})
    # There is no controller to count what is used.
    patch = json.dumps({"status": used})
    cluster.kubectl.must(
        "patch", "resourcequota/none", f"-n={namespace}", "--subresource=status", "--type=merge", "-p", patch
    )
    yield
    cluster.kubectl.must("delete", "resourcequota", "none", "-n", namespace)


@contextlib.contextmanager
def taken_name(_cluster: Installation, _namespace: str) -> Iterator[None]:
    """Change nothing: a pod of that name runs."""
    yield


WAYS: dict[str, tuple[Callable[[Installation, str], contextlib.AbstractContextManager[None]], str, str]] = {
    "quota": (quota, "refused", "exceeded quota"),
    "webhook": (_refusing.refusing, "refused", _refusing.MESSAGE),
    "name": (taken_name, "runs", "already exists"),
}
"""Who refuses, the name of the pods that are refused, and what is said then."""


def pod(namespace: str, name: str) -> at.Object:
    return at.pod(namespace, name, cpu="1", memory="1Gi")


def create(cluster: Installation, namespace: str, name: str, *flags: str) -> at.Said:
    return cluster.kubectl("create", "-f", "-", *flags, stdin=json.dumps(pod(namespace, name)))


@pytest.fixture(scope="module")
def refused_at(cluster: Installation) -> dict[str, float]:
    """Let every way refuse two pods of a namespace whose budget has room for just these; return when that was."""
    found: dict[str, float] = {}
    for way, (refuses, name, message) in WAYS.items():
        team = cluster.namespace(f"team-{way}", cost_center="engineering-alpha")
        assert cluster.kubectl.apply(at.budget(team, team, AMOUNT)).is_done
        dear = at.pod(team, "dear", cpu="64")
        eventually(
            "the budget is known",
            lambda dear=dear: "budget" in cluster.kubectl.apply(dear, flags=("--dry-run=server",)).err,  # type: ignore[misc]
        )
        assert create(cluster, team, "runs").is_done
        with refuses(cluster, team):
            if way != "name":
                eventually(
                    "it is refused",
                    lambda team=team, message=message: (
                        message in create(cluster, team, "tried", "--dry-run=server").err
                    ),  # type: ignore[misc]
                )
            for _ in range(2):
                said = create(cluster, team, name)
                assert message in said.err, said.err
        found[way] = time.monotonic()
        # Nobody but the budget refuses now, and it has booked what will never come.
        said = create(cluster, team, "next")
        assert f'budget "{team}"' in said.err, said.err
    return found


@pytest.mark.parametrize("way", WAYS)
def test_what_somebody_else_refuses_gives_its_money_back(
    cluster: Installation, refused_at: dict[str, float], way: str
) -> None:
    team = f"team-{way}"
    for name in ("next", "last"):
        eventually(
            "another pod is let in",
            lambda name=name: create(cluster, team, name).is_done,  # type: ignore[misc]
            refused_at[way] + WITHIN - time.monotonic(),
        )
    said = create(cluster, team, "too-many")
    assert f'budget "{team}"' in said.err, said.err
    pods = cluster.kubectl.must("get", "pods", "-n", team, "-o", "name").out.split()
    assert pods == ["pod/last", "pod/next", "pod/runs"]
