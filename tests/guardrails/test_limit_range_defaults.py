"""Defaults that several LimitRanges give, against a model of the API server that shares no code with right-sizing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.guardrails import _api_rules
from tests.guardrails.right_sizing import _cluster as world
from webhook.guardrails.right_sizing import limit_range

Json = dict[str, Any]

FIELDS = ("min", "max", "default", "defaultRequest")


def _item(**values: str) -> Json:
    return {"type": "Container", **{field: {"cpu": value} for field, value in values.items()}}


ITEMS = st.builds(
    lambda kind, values: {**_item(**values), "type": kind},
    st.sampled_from(["Container", "Container", "Container", "Pod"]),
    st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["100m", "1", "2", "3500m"])),
)


def _defaults(*items: Json) -> tuple[int | None, int | None]:
    """Return what merged bounds say: millicores of the limit and of the request."""
    cpu = limit_range.merge(world.limit_range(*items)).container[0]
    return cpu.default_limit, cpu.default_request


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param([_item(default="1"), _item(default="9")], (1000, 1000), id="the first limit counts"),
        pytest.param([_item(defaultRequest="1"), _item(defaultRequest="9")], (None, 1000), id="the first request"),
        pytest.param([_item(max="4"), _item(default="1")], (4000, 4000), id="a maximum is a default of its item"),
        pytest.param([_item(min="1"), _item(default="2")], (2000, 1000), id="a minimum is a request of its item"),
        pytest.param([_item(default="2"), _item(max="1")], (2000, 2000), id="another item's maximum is none"),
        pytest.param([_item(), _item(default="2", defaultRequest="1")], (2000, 1000), id="the silent are passed over"),
    ],
)
def test_the_first_item_that_says_something_gives_the_default(
    items: list[Json], expected: tuple[int | None, int | None]
) -> None:
    assert _defaults(*items) == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(ITEMS, max_size=4))
def test_defaults_are_those_that_the_api_server_fills_in(items: list[Json]) -> None:
    pod = {"spec": {"containers": [{"name": "app"}]}}
    requests, limits = _api_rules.defaulted(pod, items)
    millicores = [None if "cpu" not in values else int(values["cpu"] * 1000) for values in (limits, requests)]
    assert _defaults(*items) == tuple(millicores)
