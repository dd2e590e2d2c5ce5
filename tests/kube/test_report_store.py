"""Our own reports in the cluster: listed in pages, written where they differ, and nobody else's touched."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fakes.objects import FakeRest
from tests.fakes.reports import FakeReports
from webhook.kube import client, report_store
from webhook.kube.report_store import StoredReport, Wanted
from webhook.reporting.policy_reports import DIALECTS

REPORTS = DIALECTS[0]
MANAGED = {"app.kubernetes.io/managed-by": "podgate"}
DIGEST = "podgate.dev/digest"


def nothing() -> None:
    return None


def wanted(namespace: str, digest: str = "new") -> Wanted:
    document: dict[str, Any] = {
        "apiVersion": "openreports.io/v1alpha1",
        "metadata": {"name": "podgate", "namespace": namespace},
    }
    document["metadata"]["annotations"] = {DIGEST: digest}
    return Wanted(REPORTS.collection(namespace), "podgate", digest, lambda: document)


def known(rest: FakeReports) -> dict[str, StoredReport]:
    return report_store.stored(rest, REPORTS, "podgate", MANAGED, DIGEST, nothing)


def test_reports_are_listed_page_by_page_at_the_given_pace() -> None:
    class Paged(FakeRest):
        def request(self, method: str, path: str, **_: Any) -> bytes:  # noqa: ANN401  as the port has it
            self.calls.append((method, path))
            query = parse_qs(urlsplit(path).query)
            assert query["labelSelector"] == ["app.kubernetes.io/managed-by=podgate"]
            number = int(query.get("continue", ["0"])[0])
            metadata = {"name": "podgate", "namespace": f"ns-{number}", "resourceVersion": str(number)}
            foreign = {"name": "other", "namespace": f"ns-{number}", "resourceVersion": "7"}
            more = str(number + 1) if number < 2 else ""
            items = [{"metadata": metadata}, {"metadata": foreign}, "odd"]
            return json.dumps({"metadata": {"continue": more}, "items": items}).encode()

    rest, waits = Paged(), []
    found = report_store.stored(rest, REPORTS, "podgate", MANAGED, DIGEST, lambda: waits.append(1))
    assert [(each.path, each.version) for each in found.values()] == [
        (f"{REPORTS.collection(f'ns-{number}')}/podgate", str(number)) for number in range(3)
    ]
    assert len(waits) == len(rest.calls) == 3


def test_only_what_differs_is_written_and_what_nobody_wants_is_deleted() -> None:
    rest = FakeReports("openreports.io")
    first = report_store.write(rest, [wanted("a"), wanted("b"), wanted("c")], {}, most=9, wait=nothing)
    assert (first.written, first.unchanged) == (3, 0)
    second = report_store.write(rest, [wanted("a"), wanted("b", "newer")], known(rest), most=9, wait=nothing)
    assert (second.written, second.unchanged, second.deleted, second.left) == (1, 1, 1, 0)
    assert sorted(each.digest for each in known(rest).values()) == ["new", "newer"]


def test_a_round_writes_no_more_than_it_may_and_counts_the_rest() -> None:
    rest = FakeReports("openreports.io")
    done = report_store.write(rest, [wanted(f"ns-{number}") for number in range(9)], {}, most=4, wait=nothing)
    assert (done.written, done.left, len(rest.objects)) == (4, 5, 4)


def test_a_report_that_somebody_changed_since_is_left_for_the_next_round() -> None:
    rest = FakeReports("openreports.io")
    report_store.write(rest, [wanted("a"), wanted("b")], {}, most=9, wait=nothing)
    before = known(rest)
    for path in list(rest.objects):
        rest.put(path, rest.objects[path])
    done = report_store.write(rest, [wanted("a", "newer")], before, most=9, wait=nothing)
    assert (done.written, done.deleted, done.conflicts) == (0, 0, 1)


def test_a_kind_that_is_not_installed_says_so() -> None:
    with pytest.raises(client.NotFoundError):
        known(FakeReports())
