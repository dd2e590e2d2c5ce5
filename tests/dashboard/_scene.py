"""A small world whose decisions a journal takes, and the sources of pages over it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests import factories
from webhook.admission.engine import Engine
from webhook.admission.recorder import Recorder
from webhook.admission.ruleset import Ruleset, check_section
from webhook.cluster.watches import WatchReport
from webhook.dashboard import facts as telling
from webhook.dashboard import sources
from webhook.dashboard.facts import Overview
from webhook.dashboard.sources import CurrentPolicies, Sources
from webhook.policy.loading import loader
from webhook.policy.model.problems import PolicyProblem
from webhook.policy.model.sections import Mode
from webhook.reporting.journal import Journal

HOSTILE = (
    "<img src=x onerror=\"document.documentElement.dataset.broken='yes'\">'\"&</td></script><script>alert(1)</script>"
)
"""A name or message of somebody who means harm."""

POLICY = factories.policy("""
mode: enforce
costCeiling: {podMonthly: "150"}
podSecurity: {level: baseline}
costLabels: {required: [{key: cost-center, source: namespace, default: shared}]}
""")

BUDGET = factories.policy(
    'mode: enforce\nscope: {namespaces: [team-*]}\namount: "1000"\ncurrency: USD\nwarnAt: [75, 90]',
    name="teams",
    kind="Budget",
)


def exception(name: str = "importer", expires: str = "2026-12-01", spec: str = "") -> str:
    """Return a PolicyException of team-alpha."""
    return (
        "apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\n"
        f"metadata: {{name: {name}, namespace: team-alpha}}\n"
        f"spec:\n  guardrails: [podSecurity]\n  owner: payments\n  reason: old image\n  expires: '{expires}'\n{spec}"
    )


class Scene(factories.World):
    """An engine whose decisions a journal takes."""

    def __init__(
        self,
        *policies: str,
        cluster: Iterable[dict[str, Any]] = (),
        cap: Mode = "enforce",
        problems: Sequence[PolicyProblem] = (),
        certificates: Mapping[str, float] | None = None,
        watches: Sequence[WatchReport] = (),
        checks: Sequence[tuple[str, str | None]] = (("policies", None),),
        notices: Sequence[str] = (),
        started: datetime = factories.NOON,
    ) -> None:
        loaded = loader.load_text(
            "\n---\n".join((*(policies or (POLICY, BUDGET)), factories.PRICES)), "team.yaml", check=check_section
        )
        super().__init__(cluster=cluster, rules=Ruleset(loaded, (), cap))
        self.time = factories.NOON
        self.journal = Journal()
        self.engine = Engine(
            view=self.view,
            ledger=self.ledger,
            recorder=Recorder(self, self.metrics, lambda: self.time, self.view, [self.journal]),
            now=lambda: self.time,
        )
        self.engine.put_in_force(self.rules)
        self.sources = Sources(
            now=lambda: self.time,
            journal=self.journal,
            ledger=self.ledger,
            rules=lambda: self.engine.rules,
            policies=lambda: CurrentPolicies(loaded, problems, 3, factories.NOON),
            sizes=self.journal.sizes,
            watches=lambda: watches,
            schedulers=lambda: {"bin-packing-scheduler": False},
            certificates=lambda: certificates or {"ca": 90 * 86_400.0, "leaf": 40 * 86_400.0},
            checks=lambda: checks,
            notices=lambda: notices,
            cluster="manifests/embedded",
            mode=cap,
            started=started,
        )

    def facts(self) -> Overview:
        """Return what the overview tells now."""
        return telling.tell(sources.take(self.sources), self.sources)

    def busy(self) -> "Scene":
        """Decide about some objects: one refused, one changed, one workload warned."""
        self.create(factories.safe_pod())
        self.create(factories.pod(hostNetwork=True, metadata={"name": "rogue"}))
        self.validate(factories.deployment(3, namespace="team-alpha"))
        return self
