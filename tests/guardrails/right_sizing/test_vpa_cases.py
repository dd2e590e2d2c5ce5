"""Cases of VPA's own tests where right-sizing decides otherwise; all others are run by ``tests/conformance``."""

from typing import Any

import pytest

from tests.conformance import vpa
from tests.conformance._cases import stored_rows
from tests.guardrails.right_sizing import _cluster as world

Json = dict[str, Any]

CASES = {row["id"]: row for row in stored_rows(vpa.FILES[0])}

OVERRULED: dict[str, tuple[str, Json]] = {
    "vpa-267": (
        "a container policy of mode Off holds at admission too",
        {"hamster": {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {}}},
    ),
    "vpa-289": (
        "a container without a recommendation is left alone, and nothing panics",
        {
            "hamster": {"requests": {"cpu": "200m", "memory": "200Mi"}, "limits": {"cpu": "200m", "memory": "200Mi"}},
            "side": {"requests": {"cpu": "50m", "memory": "50Mi"}, "limits": {"cpu": "50m", "memory": "50Mi"}},
        },
    ),
    "vpa-291": (
        "a resource without a recommendation is never -1; with it the sum breaks the LimitRange, so nothing is sized",
        {
            "hamster": {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "100m", "memory": "100Mi"}},
            "hamster2": {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "100m", "memory": "100Mi"}},
        },
    ),
}
"""With the reason and our result."""


@pytest.mark.parametrize("case", OVERRULED)
def test_overruled_cases_have_our_result(case: str) -> None:
    reason, expected = OVERRULED[case]
    row = CASES[case]
    assert vpa.of_row(row), reason
    cluster = world.World(world.vpa_of(row["vpa"]), (), world.limit_range(*vpa.limits_of(row)))
    after, _, _ = world.run(world.rule(guaranteedPods="resize"), row["pod"], cluster)

    assert {name: world.resources(after, name) for name in expected} == expected, reason
