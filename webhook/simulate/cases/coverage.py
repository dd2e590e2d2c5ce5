"""Which guardrails of which policies the cases have seen let an object pass, and seen fail one."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from webhook.guardrails.base import registry as guardrail_registry
from webhook.policy.model.policy_set import PolicySet
from webhook.simulate.cases.running import Result

_PASSING: Final = frozenset({"passed", "changed", "would_change"})
_FAILING: Final = frozenset({"refused", "warned", "would_refuse"})
_CHANGING: Final = frozenset({"changed", "would_change"})


class CoverageRow(NamedTuple):
    """One guardrail as one policy configures it."""

    policy: str
    guardrail: str
    mode: str
    passing: int
    """Cases in which it let the object pass."""
    failing: int
    """Cases in which it found something wrong; of a guardrail that only changes pods, cases in which it did."""

    @property
    def is_covered(self) -> bool:
        """Whether both have been seen."""
        return self.passing > 0 and self.failing > 0

    @property
    def lacks(self) -> str:
        """What has not been seen, in words."""
        missing = [word for word, count in (("passing", self.passing), ("failing", self.failing)) if not count]
        return " and ".join(missing)


def coverage(policies: Iterable[PolicySet], results: Iterable[Result]) -> list[CoverageRow]:
    """Count the cases of every guardrail that is switched on in these policies, by policy and guardrail."""
    only_change = {item.name for item in guardrail_registry.discover() if not item.refuses}
    counts: dict[tuple[str, str, str], list[int]] = {}
    for policy_set in policies:
        for key in _configured(policy_set):
            counts.setdefault(key, [0, 0])
    for result in results:
        for policy, guardrail, mode, outcome in result.outcomes:
            count = counts.get((policy, guardrail, mode))
            if count is None:
                continue  # Another policy of that name, or a mode that the case caps.
            if guardrail in only_change:
                count[0] += outcome == "passed"
                count[1] += outcome in _CHANGING or outcome in _FAILING
            else:
                count[0] += outcome in _PASSING
                count[1] += outcome in _FAILING
    return [CoverageRow(*key, *count) for key, count in sorted(counts.items())]


def _configured(policies: PolicySet) -> Iterable[tuple[str, str, str]]:
    for policy in policies.policies:
        for name in policy.spec.sections:
            mode = policy.spec.mode_of(name)
            if mode != "off":
                yield policy.name, name, mode
    for item in policies.budgets:
        if item.spec.mode != "off":
            yield item.name, "budget", item.spec.mode
