"""Tells, in log and metrics, what came of loading policies."""

import logging
from collections.abc import Callable
from pathlib import Path

from webhook.admission.metrics import Metrics
from webhook.policy.loading.reload import PolicyState
from webhook.policy.model.policy_set import PolicySet

_log = logging.getLogger("podgate")


def report_policy_load(metrics: Metrics, policies: PolicySet, generation: int, problems: int = 0) -> None:
    """Tell which policies are in force now."""
    documents: dict[str, int] = {}
    for document in policies.documents:
        documents[document.kind] = documents.get(document.kind, 0) + 1
    metrics.policies(ok=not problems, generation=generation, problems=problems, documents=documents)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(documents.items()))
    _log.info("policies in force: %s (generation %d)", counted or "none", generation)


def failure_teller(metrics: Metrics, directory: Path) -> Callable[[PolicyState], None]:
    """Return what tells that the policies of a directory could not be loaded."""

    def on_failed(state: PolicyState) -> None:
        metrics.policies(ok=False, generation=state.generation, problems=len(state.problems), documents={})
        for problem in state.problems:
            _log.error("policy refused: %s", problem)
        kept = "the last good set stays in force" if state.set else "nothing can be judged until they are mended"
        _log.error("%d problem(s) in %s; %s", len(state.problems), directory, kept)

    return on_failed
