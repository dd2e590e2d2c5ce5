"""binPacking: pods are handed to a scheduler that packs nodes tightly, as long as that scheduler is alive.

Rule
    ``spec.schedulerName`` is set to ``binPacking.schedulerName`` where the pod has none or ``default-scheduler``. With
    ``topologySpread``, pods of a controller whose selector is known get one spread constraint on ``topologyKey``, so
    that packing does not put all replicas of one workload on one node.

Left alone
    DaemonSet, static and mirror pods, pods with a node name, pods of ``system-*`` priority, pods whose author chose
    another scheduler, and with ``allowSkip`` pods annotated ``podgate.dev/skip: binPacking``.

Alive
    A pod whose scheduler does not run stays Pending for ever, without an event, and no autoscaler helps it. The name
    is therefore only written while that scheduler's Lease is fresh; otherwise the pod stays with the default
    scheduler. Where the Lease has gone stale, a warning says so. Where there is no such Lease, the scheduler never ran
    here and no author of a pod can mend that: the decision log, the metric ``podgate_scheduler_known``, a notice of
    ``/readyz?verbose`` and the condition of the policy tell the platform team, and users are left in peace.

Another scheduler
    Where the author names a scheduler that nobody knows, a warning says so: such a pod stays Pending for ever if
    nothing runs under that name. Known are ``default-scheduler``, ``binPacking.schedulerName``, those of
    ``knownSchedulers``, and every one whose Lease Podgate has seen; beside a live cluster it follows the Leases of
    those that policies name.

Violations
    None. The guardrail only adds.

Source
    kube-scheduler ``NodeResourcesFit`` with ``MostAllocated``; ``schedulerName`` is immutable once the pod exists.
"""

from collections.abc import Sequence
from typing import NamedTuple

from webhook.guardrails.base.contract import Context, Finding, Guardrail, is_creation
from webhook.guardrails.base.skip import is_daemon, is_placed_already, is_skipped
from webhook.kube import selectors
from webhook.kube.patch import Draft
from webhook.policy.bin_packing import BinPackingSection

_DEFAULT_SCHEDULER = "default-scheduler"
_SHOWN = 63
"""Characters of a name that a text shows."""


class Spread(NamedTuple):
    """The topology spread constraint that is added."""

    max_skew: int
    topology_key: str
    when_unsatisfiable: str


class BinPackingRule(NamedTuple):
    """The compiled section."""

    scheduler_name: str
    known: frozenset[str]
    """Schedulers that an author may name."""
    spread: Spread | None
    allow_skip: bool


def compile_rule(section: BinPackingSection) -> BinPackingRule:
    """Compile the section."""
    spread = section.topology_spread
    return BinPackingRule(
        scheduler_name=section.scheduler_name,
        known=frozenset({"", _DEFAULT_SCHEDULER, section.scheduler_name, *section.known_schedulers}),
        spread=Spread(spread.max_skew, spread.topology_key, spread.when_unsatisfiable) if spread else None,
        allow_skip=section.allow_skip,
    )


def propose(rule: BinPackingRule, context: Context, draft: Draft) -> Sequence[Finding]:
    """Set the scheduler's name and the spread constraint, or say that the scheduler is not there."""
    spec = context.pod.spec
    if not is_creation(context) or spec is None or is_placed_already(context):
        return ()
    if rule.allow_skip and is_skipped(context, "binPacking"):
        return ()
    chosen = spec.scheduler_name or ""
    if chosen not in rule.known and not context.view.knows_scheduler(chosen):
        return (_nobody_knows(chosen),)
    if is_daemon(context):
        return ()
    if chosen not in ("", _DEFAULT_SCHEDULER, rule.scheduler_name):
        return ()
    if chosen != rule.scheduler_name and not context.view.is_scheduler_alive(rule.scheduler_name):
        known = context.view.knows_scheduler(rule.scheduler_name)
        return (_not_alive(rule.scheduler_name) if known else _not_installed(rule.scheduler_name),)
    draft.set_scheduler_name(rule.scheduler_name)
    if rule.spread is not None:
        _spread(rule.spread, context, draft)
    return ()


def inspect(_rule: BinPackingRule, _context: Context) -> Sequence[Finding]:
    """Nothing about packing is ever refused."""
    return ()


def _spread(spread: Spread, context: Context, draft: Draft) -> None:
    spec = context.pod.spec
    controller = context.controller
    if spec is None or controller is None:
        return
    if any(item.topology_key == spread.topology_key for item in spec.topology_spread_constraints or ()):
        return
    selector = context.view.owner_selector(context.namespace, controller)
    if selector is None or selectors.is_empty(selector):
        # An empty selector would count every pod of the namespace against this workload's skew.
        return
    draft.append_topology_spread(
        spread.max_skew, spread.topology_key, spread.when_unsatisfiable, selectors.to_json(selector)
    )


def _not_alive(name: str) -> Finding:
    return Finding(
        rule="schedulerLease",
        message=f'scheduler "{name}" holds no fresh Lease, so the pod stays with the default scheduler',
        cure=f"start the scheduler (its Lease is named {name}), or switch binPacking off",
        notice=True,
        paths=("spec.schedulerName",),
    )


def _not_installed(name: str) -> Finding:
    return Finding(
        rule="schedulerUnknown",
        message=f'there is no Lease of scheduler "{name}", so the pod stays with the default scheduler',
        cure=f"install the scheduler (its Lease is to be named {name}), or switch binPacking off",
        notice=True,
        quiet=True,
        paths=("spec.schedulerName",),
    )


def _nobody_knows(name: str) -> Finding:
    return Finding(
        rule="schedulerOfAuthor",
        message=(
            f'its schedulerName "{name[:_SHOWN]}" is of no scheduler that is known here; if nothing runs under that '
            "name, the pod stays Pending for ever"
        ),
        cure="remove spec.schedulerName, or ask the platform team to list it in binPacking.knownSchedulers",
        notice=True,
        paths=("spec.schedulerName",),
    )


GUARDRAIL = Guardrail(
    name="binPacking",
    order=40,
    compile=compile_rule,
    inspect=inspect,
    severity="low",
    propose=propose,
    refuses=False,
)
