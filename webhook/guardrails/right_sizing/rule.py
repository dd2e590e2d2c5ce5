"""The compiled ``rightSizing`` section: whole numbers and fractions only."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from webhook.kube import quantity
from webhook.policy.right_sizing import RightSizingSection

CPU: Final = 0
MEMORY: Final = 1
RESOURCES: Final = ("cpu", "memory")
"""Names by index: `CPU` counts in millicores, `MEMORY` in bytes."""

MIB: Final = 1 << 20

Recommendation = Literal["target", "lowerBound", "upperBound", "uncappedTarget"]


class ResourceRule(NamedTuple):
    """What holds for one resource, in millicores or bytes."""

    headroom: tuple[int, int] | None
    """Numerator and denominator; None leaves limits alone."""
    limit_floor: int
    """Zero for none. Memory: whole MiB."""
    limit_maximum: int | None
    minimum: int
    """Zero for none."""
    maximum: int | None


@dataclass(frozen=True, slots=True)
class RightSizingRule:
    """A frozen rule; `resources` is indexed by `CPU` and `MEMORY`."""

    recommendation: Recommendation
    when: Literal["always", "missing", "oversized"]
    lower_limits: bool
    min_change_percent: int
    resizes_guaranteed: bool
    resizes_hpa_managed: bool
    resources: tuple[ResourceRule, ResourceRule]


def compile_section(section: RightSizingSection) -> RightSizingRule:
    """Turn a valid section into a rule: lower bounds are rounded up to whole units, upper bounds down."""
    headroom = section.limit_headroom
    return RightSizingRule(
        recommendation=section.recommendation,
        when=section.when,
        lower_limits=section.lower_limits,
        min_change_percent=section.min_change_percent,
        resizes_guaranteed=section.guaranteed_pods == "resize",
        resizes_hpa_managed=section.hpa_managed == "resize",
        resources=(
            ResourceRule(
                headroom=_ratio(headroom.cpu),
                limit_floor=_up(section.limit_floor.cpu, 1_000_000),
                limit_maximum=_down(section.limit_maximum.cpu, 1_000_000),
                minimum=_up(section.minimum.cpu, 1_000_000),
                maximum=_down(section.maximum.cpu, 1_000_000),
            ),
            ResourceRule(
                headroom=_ratio(headroom.memory),
                limit_floor=-(-_up(section.limit_floor.memory, 1_000_000_000) // MIB) * MIB,
                limit_maximum=_down(section.limit_maximum.memory, 1_000_000_000),
                minimum=_up(section.minimum.memory, 1_000_000_000),
                maximum=_down(section.maximum.memory, 1_000_000_000),
            ),
        ),
    )


def _ratio(factor: Decimal | Literal["none"]) -> tuple[int, int] | None:
    return None if factor == "none" else Fraction(factor).as_integer_ratio()


def _up(text: str | None, unit: int) -> int:
    return 0 if text is None else -(-quantity.parse(text).nano // unit)


def _down(text: str | None, unit: int) -> int | None:
    return None if text is None else quantity.parse(text).nano // unit
