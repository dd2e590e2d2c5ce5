"""The cluster that manifests and policies are held against: files, an API server, or none; for the commands that judge
what does not run yet."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import click

from webhook import assembly
from webhook.cli._fault import InputError
from webhook.cluster import overlay
from webhook.cluster.live import LiveView
from webhook.cluster.view import View
from webhook.kube import client, manifests
from webhook.kube.manifests import Manifest, ManifestError
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.model.problems import PolicyErrors
from webhook.reporting import scan_input as worlds
from webhook.reporting.judge import identity
from webhook.simulate import cluster_from_manifests

LIVE: Final = "live"
_DEFAULT_POLICIES: Final = "policies"
_HERE: Final = "the live cluster"

F = TypeVar("F", bound=Callable[..., Any])

FoundObject = Manifest | ManifestError

KUBECONFIG: Final = click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --cluster live: the kubeconfig to use instead of the usual one.",
)


def with_options(function: F) -> F:
    """Add ``--cluster`` and ``--kubeconfig`` to a command that can do without a cluster."""
    cluster = click.option(
        "--cluster",
        metavar="DIR|live",
        help="The cluster: a directory of Kubernetes YAML or JSON (namespaces, VPAs, HPAs, LimitRanges, running "
        "pods), or live.",
    )
    return cluster(KUBECONFIG(function))


class ClusterSource(Protocol):
    """What is known of a cluster."""

    policies: PolicySet

    def known(self, found: Sequence[FoundObject], namespace: str) -> contextlib.AbstractContextManager[View]:
        """Return the view, and in it what the input brings as if it were applied; good until the block ends."""

    def problems(self, found: Sequence[FoundObject], namespace: str) -> list[ManifestError]:
        """Return what could not be read of the cluster, and of what the input brings."""

    def objects(self) -> Iterator[FoundObject]:
        """Yield everything of it that may be judged."""

    def namespaces(self) -> list[str]:
        """Return the names of all namespaces."""

    def close(self) -> None:
        """End the connection, if there is one."""


class Files:
    """A directory of Kubernetes YAML or JSON, or no cluster at all."""

    def __init__(self, directory: Path | None, policies: PolicySet) -> None:
        self.policies = policies
        self._read: list[FoundObject] = list(manifests.read_path(directory)) if directory is not None else []
        if directory is not None and not self._read:
            self._read.append(ManifestError(str(directory), worlds.NOTHING))

    @contextlib.contextmanager
    def known(self, found: Sequence[FoundObject], namespace: str) -> Iterator[View]:
        """Return the view, and in it what the input brings as if it were applied."""
        yield cluster_from_manifests.view_of(found, self._read, namespace)[0]

    def problems(self, found: Sequence[FoundObject], namespace: str) -> list[ManifestError]:
        """Return what could not be read of the files, and of what the input brings."""
        return cluster_from_manifests.view_of(found, self._read, namespace)[1]

    def objects(self) -> Iterator[FoundObject]:
        """Yield what was read."""
        yield from self._read

    def namespaces(self) -> list[str]:
        """Return the names of all namespaces."""
        found = [item.document for item in self._read if isinstance(item, Manifest)]
        return sorted({identity(each)[2] for each in found if each["kind"] == "Namespace"} - {""})

    def close(self) -> None:
        """Do nothing."""


class Live:
    """An API server, as `serve` knows it: listed once, and not followed any further."""

    def __init__(self, world: worlds.ScanInput) -> None:
        assert isinstance(world.view, LiveView)  # noqa: S101  it comes of `connect`
        self.policies = world.policies
        self._world = world
        self._view = world.view

    @contextlib.contextmanager
    def known(self, found: Sequence[FoundObject], namespace: str) -> Iterator[View]:
        """Return the view, and in it what the input brings as if it were applied; good until the block ends."""
        brought, _ = cluster_from_manifests.brought_by(found, namespace)
        with overlay.applied(self._view, [item.document for item in brought.values()]):
            yield self._view

    def problems(self, found: Sequence[FoundObject], namespace: str) -> list[ManifestError]:
        """Return what could not be listed, and what is wrong with what the input brings."""
        missing = [
            ManifestError(each.example or _HERE, f"{each.what}: {each.reason}")
            for each in self._world.unjudged
            if each.is_failure
        ]
        return [*missing, *cluster_from_manifests.brought_by(found, namespace)[1]]

    def objects(self) -> Iterator[FoundObject]:
        """Yield pods and workloads, page by page."""
        for origin, document in self._world.objects:
            yield Manifest(origin, document)

    def namespaces(self) -> list[str]:
        """Return the names of all namespaces."""
        return sorted(each.name for each in self._view.namespaces.values())

    def close(self) -> None:
        """End the connection."""
        self._world.close()


@contextlib.contextmanager
def opened(cluster: str | None, kubeconfig: Path | None, policies: Path | None) -> Iterator[ClusterSource]:
    """Load the policies and open the cluster that the flags name.

    Raises:
        Fault: a flag is wrong, or the policies cannot be loaded.
    """
    if cluster is not None:
        check(cluster)
    if kubeconfig is not None and cluster != LIVE:
        raise InputError("--kubeconfig says nothing without --cluster live; give both")
    directory = policy_directory(policies, cluster)
    loaded = load(directory) if directory is not None else None
    made: ClusterSource
    if cluster == LIVE:
        made = Live(connect(kubeconfig, loaded, is_default=policies is None))
    else:
        assert loaded is not None  # noqa: S101  without a live cluster there is always a directory
        made = Files(Path(cluster) if cluster is not None else None, loaded)
    with contextlib.closing(made):
        yield made


def check(cluster: str) -> None:
    """See that there is something of that name. Raises Fault."""
    if cluster != LIVE and not Path(cluster).exists():
        raise InputError(f"--cluster: {cluster} does not exist; give a directory of Kubernetes YAML, or live")


def policy_directory(policies: Path | None, cluster: str | None) -> Path | None:
    """Return where policies are read; None for custom resources alone.

    Raises:
        Fault: there is no such directory.
    """
    if policies is None and (cluster != LIVE or Path(_DEFAULT_POLICIES).is_dir()):
        policies = Path(_DEFAULT_POLICIES)
    if policies is not None and not policies.is_dir():
        raise InputError(f"--policies: {policies} is not a directory; give a directory of policy YAML")
    return policies


def load(directory: Path) -> PolicySet:
    """Return the policies of a directory.

    Raises:
        Fault: with all errors of all files.
    """
    try:
        return assembly.load_policies(directory)
    except PolicyErrors as error:
        raise InputError("\n".join(str(problem) for problem in error.problems)) from None


def connect(kubeconfig: Path | None, policies: PolicySet | None, *, is_default: bool) -> worlds.ScanInput:
    """List what verdicts are made by; custom resources are added to policies that were asked for, and stand in for
    those of the default directory.

    Raises:
        Fault: there is no way to an API server.
    """
    # What watches log is named in the report, once.
    logging.getLogger("podgate").addHandler(logging.NullHandler())
    try:
        return worlds.of_api(client.connect(kubeconfig), policies, assembly.utc_now, is_default=is_default)
    except client.ConfigError as error:
        raise InputError(str(error)) from None
