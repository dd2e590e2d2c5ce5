"""What a check is, and what it says about a pod.

A check is one rule of the Pod Security Standards. It may have changed over Kubernetes versions: each revision is its
own function, valid from its minor version up to the next revision, so that history stays readable and nothing is
edited. A module of this package without a leading underscore is a check and offers it as ``CHECK``.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from webhook.guardrails.pod_security._visitor import PodView
from webhook.policy.pod_security import EnforceableLevel


class Violation(msgspec.Struct, frozen=True):
    """One check that forbids a pod. Reason and detail are the API server's own words."""

    check: str
    """Identifier of the check: ``capabilities_restricted``."""
    reason: str
    """Constant and short: ``unrestricted capabilities``."""
    detail: str
    """Who sets what; may be empty."""
    cure: str
    """What to change, as one imperative phrase."""
    paths: tuple[str, ...] = ()
    """The fields concerned, pod level first: ``spec.containers[0].securityContext.privileged``."""
    containers: tuple[str, ...] = ()
    """Names of the containers concerned, in the order of the pod; empty where only the pod level is."""


def silent(check: str) -> Violation:
    """Return a violation without texts, for a visit that is silent."""
    return Violation(check, "", "", "")


CheckFunction = Callable[[PodView], Violation | None]


class Revision(NamedTuple):
    """A check as it stands from one Kubernetes minor version on."""

    since_minor: int
    evaluate: CheckFunction


class Check(NamedTuple):
    """A check with all its revisions, oldest first."""

    id: str
    level: EnforceableLevel
    revisions: tuple[Revision, ...]
    overrides: tuple[str, ...] = ()
    """Identifiers of the baseline checks that this restricted check replaces at level restricted."""
