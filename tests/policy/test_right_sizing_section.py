"""The ``rightSizing`` section: what loads, what does not, and what the errors say."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from webhook.guardrails.right_sizing.rule import CPU, MEMORY, compile_section
from webhook.policy.right_sizing import SECTION


def test_an_empty_section_has_the_defaults_of_the_contract() -> None:
    section = SECTION.model_validate({})
    assert section.model_dump() == {
        "mode": None,
        "on_violation": None,
        "on_fault": None,
        "recommendation": "target",
        "when": "always",
        "limit_headroom": {"cpu": Decimal(3), "memory": Decimal(2)},
        "lower_limits": True,
        "limit_floor": {"cpu": None, "memory": None},
        "limit_maximum": {"cpu": None, "memory": None},
        "minimum": {"cpu": None, "memory": None},
        "maximum": {"cpu": None, "memory": None},
        "min_change_percent": 5,
        "guaranteed_pods": "skip",
        "hpa_managed": "skip",
    }


@pytest.mark.parametrize(
    ("headroom", "expected"),
    [
        ({}, ((3, 1), (2, 1))),
        ({"cpu": 1}, ((1, 1), (2, 1))),
        ({"cpu": 2.5, "memory": "1.1"}, ((5, 2), (11, 10))),
        ({"cpu": 100, "memory": "none"}, ((100, 1), None)),
        ("none", (None, None)),
    ],
    ids=["defaults", "an integer", "a float and a text", "none", "none for both"],
)
def test_headroom_is_exact(headroom: object, expected: object) -> None:
    rule = compile_section(SECTION.model_validate({"limitHeadroom": headroom}))
    assert (rule.resources[CPU].headroom, rule.resources[MEMORY].headroom) == expected


def test_lower_bounds_are_rounded_up_and_upper_bounds_down() -> None:
    bounds = {"cpu": "1500u", "memory": "1500m"}
    rule = compile_section(
        SECTION.model_validate({"minimum": bounds, "limitFloor": bounds, "maximum": bounds, "limitMaximum": bounds})
    )
    cpu, memory = rule.resources
    assert (cpu.minimum, cpu.maximum, cpu.limit_floor, cpu.limit_maximum) == (2, 1, 2, 1)
    assert (memory.minimum, memory.maximum, memory.limit_floor, memory.limit_maximum) == (2, 1, 1 << 20, 1)


@pytest.mark.parametrize(
    ("section", "where", "said"),
    [
        ({"limitHeadroom": {"cpu": 0.9}}, "limitHeadroom.cpu", "from 1 to 100"),
        ({"limitHeadroom": {"cpu": 101}}, "limitHeadroom.cpu", "from 1 to 100"),
        ({"limitHeadroom": {"cpu": True}}, "limitHeadroom.cpu", "from 1 to 100"),
        ({"limitHeadroom": {"cpu": "3x"}}, "limitHeadroom.cpu", "such as 3 or 2.5"),
        ({"limitHeadroom": {"cpu": "NaN"}}, "limitHeadroom.cpu", "from 1 to 100"),
        ({"limitHeadroom": {"cpu": "1.0000001"}}, "limitHeadroom.cpu", "six decimal places"),
        ({"limitHeadroom": {"gpu": 2}}, "limitHeadroom.gpu", "not permitted"),
        ({"minimum": {"cpu": "1Q"}}, "minimum.cpu", "quantity"),
        ({"minimum": {"cpu": "-1"}}, "minimum.cpu", "negative"),
        ({"minimum": {"storage": "1"}}, "minimum.storage", "not permitted"),
        ({"minimum": {"cpu": "2"}, "maximum": {"cpu": "1500m"}}, "", "lower minimum.cpu or raise maximum.cpu"),
        ({"limitFloor": {"memory": "1Gi"}, "limitMaximum": {"memory": "1G"}}, "", "raise limitMaximum.memory"),
        ({"maximum": {"cpu": "0"}}, "", "maximum.cpu (0) is below one millicore"),
        ({"limitMaximum": {"memory": "0"}}, "", "limitMaximum.memory (0) is below one byte"),
        ({"minChangePercent": 101}, "minChangePercent", "less than or equal to 100"),
        ({"minChangePercent": 5.5}, "minChangePercent", "integer"),
        ({"when": "never"}, "when", "'always'"),
        ({"recommendation": "p95"}, "recommendation", "'target'"),
        ({"guaranteedPods": True}, "guaranteedPods", "'skip'"),
        ({"headroom": 3}, "headroom", "not permitted"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_errors_name_the_field_and_the_cure(section: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SECTION.model_validate(section)
    (error,) = caught.value.errors()
    assert ".".join(str(part) for part in error["loc"]) == where
    assert said in error["msg"]
