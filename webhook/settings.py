"""The settings of `podgate serve`: names, defaults and reasons in one place, and the one value they become.

`OPTIONS` is what the command line is made of: each entry is a flag, and the environment variable of the same name with
``PODGATE_`` before it. `Settings` is what the rest of the program sees: frozen, checked, nothing left to guess.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Cap = Literal["enforce", "audit"]
NotifyForm = Literal["slack", "json"]


class SettingsError(ValueError):
    """Flags that cannot be served with. `problems` holds one line each, all that were found; so does the text."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Option:
    """One flag of `serve`."""

    name: str
    """Field of `Settings`; the flag and the environment variable follow from it."""
    help: str
    metavar: str
    default: str | int | float | None = None
    """None: the flag has no value unless it is given."""
    required: bool = False
    choices: tuple[str, ...] = ()
    multiple: bool = False
    """May be given several times; in the environment the values stand with blanks between them."""

    @property
    def flag(self) -> str:
        """Return the name on the command line: ``--ops-port``."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Return the name in the environment: ``PODGATE_OPS_PORT``."""
        return "PODGATE_" + self.name.upper()


OPTIONS: tuple[Option, ...] = (
    Option(
        "policies",
        "Directory of policy YAML, read recursively and again when it changes; with `--cluster live`, policies may be "
        "custom resources as well or instead.",
        "DIR",
    ),
    Option(
        "cluster",
        "What is known about the cluster: a directory of Kubernetes YAML or JSON, or `live` for watches.",
        "live|DIR",
        required=True,
    ),
    Option(
        "mode",
        "Cap of every policy's mode; with `audit` nothing is changed or refused, and all of it is recorded.",
        "MODE",
        # What policies say is what happens; an installation starts with audit in its manifests.
        default="enforce",
        choices=("enforce", "audit"),
    ),
    # Probes and API servers come from outside the pod, over IPv4 or IPv6.
    Option("host", "Address to listen on; `::` is every address, IPv4 and IPv6.", "H", default="::"),
    Option("port", "Port of the admission paths, TLS; 0 takes a free one.", "N", default=8443),
    Option("ops_port", "Port of /livez, /readyz and /metrics, plain HTTP; 0 takes a free one.", "N", default=8080),
    Option(
        "certs", "Directory of ca.crt, tls.crt and tls.key; what is missing is made.", "DIR", default=".local/certs"
    ),
    Option(
        "certs_secret",
        "With `--cluster live`: Secret in Podgate's own namespace whose certificates all replicas share; made, renewed "
        "and published in the webhook objects by the leader. Replaces --certs.",
        "NAME",
    ),
    Option("webhooks", "Name of the two webhook objects whose caBundle follows --certs-secret.", "NAME", "podgate"),
    Option(
        "client_ca",
        "PEM file: only callers with a certificate of this authority are answered; read again when it changes.",
        "FILE",
    ),
    Option(
        "client_name",
        "With --client-ca: common name, DNS name or URI of a certificate that may call; may be repeated. Without it "
        "every certificate of the authority may.",
        "NAME",
        multiple=True,
    ),
    Option(
        "exclude_namespaces",
        "Glob of namespaces that are never judged, beside the system's own; may be repeated.",
        "GLOB",
        multiple=True,
    ),
    Option("namespace", "Podgate's own namespace: never judged, and part of the certificate's names.", "NS", "podgate"),
    # Endpoints take a few seconds to leave every API server's view of the Service.
    Option("shutdown_delay", "Seconds to go on serving after SIGTERM.", "SECONDS", default=5.0),
    Option("kubeconfig", "With `--cluster live`: kubeconfig to use instead of the pod's service account.", "FILE"),
    Option(
        "scheduler_namespaces",
        "Namespaces in which Leases of schedulers are believed, beside Podgate's own; may be repeated.",
        "NS",
        # Whoever may write a Lease there can make pods wait for a scheduler that does not run.
        default="kube-system",
        multiple=True,
    ),
    Option(
        "notify_url",
        "Address that gets a message when a budget reaches a threshold, once a period; a secret, so better given in "
        "the environment.",
        "URL",
    ),
    Option(
        "notify_form",
        "What that address takes: `slack` for chats, `json` for the numbers as fields.",
        "FORM",
        default="slack",
        choices=("slack", "json"),
    ),
    Option(
        "allocation_url",
        "Allocation API of OpenCost or Kubecost, such as http://opencost.opencost:9003/allocation; what budgets have "
        "cost by it is shown in their status and decides nothing.",
        "URL",
    ),
    Option(
        "scan_interval",
        "With `--cluster live`: seconds between two scans of what runs, which the leader tells in PolicyReports; 0 "
        "never scans.",
        "SECONDS",
        default=3600.0,
    ),
    Option("dashboard_port", "Port of the read-only pages, plain HTTP; 0 switches them off.", "N", default=8081),
    # Whoever reaches the port may read names, findings and money; a port-forward ends on the pod's loopback.
    Option("dashboard_host", "Address that the pages listen on.", "H", default="127.0.0.1"),
    Option("log_file", "File that gets one JSON line a decision; without it, standard output.", "FILE"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What `serve` runs with. Made by `Settings.build`."""

    policies: Path | None
    """None only where the cluster is live: policies are custom resources alone."""
    cluster: Path | None
    """The snapshot directory; None is a live cluster."""
    mode: Cap
    host: str
    port: int
    ops_port: int
    certs: Path
    certs_secret: str | None
    """None: certificates are in the directory."""
    webhooks: str
    client_ca: Path | None
    client_name: tuple[str, ...]
    """Names of certificates that may call; empty: every certificate of `client_ca`."""
    exclude_namespaces: tuple[str, ...]
    namespace: str
    shutdown_delay: float
    """Seconds."""
    kubeconfig: Path | None
    """None: the pod's service account, else the usual kubeconfig."""
    scheduler_namespaces: tuple[str, ...]
    notify_url: str | None = field(repr=False)
    """A secret."""
    notify_form: NotifyForm
    allocation_url: str | None = field(repr=False)
    """May hold credentials."""
    scan_interval: float
    """Seconds; 0 never scans."""
    dashboard_port: int
    """0: no pages."""
    dashboard_host: str
    log_file: Path | None

    @classmethod
    def build(cls, **raw: object) -> "Settings":
        """Make settings from raw values, by the names of `OPTIONS`; what is not given takes its default.

        Raises:
            SettingsError: with every problem found, one line each.
        """
        unknown = sorted(set(raw) - {option.name for option in OPTIONS})
        if unknown:
            raise SettingsError([f"{name}: no such setting; see `podgate serve --help`" for name in unknown])
        values = {
            option.name: option.default if raw.get(option.name) is None else raw[option.name] for option in OPTIONS
        }
        reader = _RawValues(values)
        mode: Cap = "audit" if reader.choice("mode") == "audit" else "enforce"
        settings = cls(
            policies=reader.policies(),
            cluster=reader.cluster(),
            mode=mode,
            host=reader.text("host"),
            port=reader.port("port"),
            ops_port=reader.port("ops_port"),
            certs=Path(reader.text("certs")),
            certs_secret=reader.certs_secret(),
            webhooks=reader.text("webhooks"),
            client_ca=reader.optional_file("client_ca", "PEM file"),
            client_name=reader.client_names(),
            exclude_namespaces=reader.globs("exclude_namespaces"),
            namespace=reader.namespace("namespace"),
            shutdown_delay=reader.seconds("shutdown_delay"),
            kubeconfig=reader.optional_file("kubeconfig", "kubeconfig"),
            scheduler_namespaces=reader.namespaces("scheduler_namespaces"),
            allocation_url=reader.address("allocation_url"),
            scan_interval=reader.seconds("scan_interval"),
            dashboard_port=reader.port("dashboard_port"),
            dashboard_host=reader.text("dashboard_host"),
            log_file=None if not values["log_file"] else Path(str(values["log_file"])),
            notify_url=reader.address("notify_url"),
            notify_form="json" if reader.choice("notify_form") == "json" else "slack",
        )
        reader.distinct_ports(settings)
        if reader.problems:
            raise SettingsError(reader.problems)
        return settings


_BY_NAME = {option.name: option for option in OPTIONS}
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_GLOB = re.compile(r"[-a-z0-9*?]{1,63}", re.ASCII)
"""As globs of policies: whatever else is written there would be read literally, and no namespace is named so."""
_LONGEST_DELAY = 3600.0


def _words(given: object) -> tuple[str, ...]:
    """Return the values of a flag that may be repeated, each once; blanks separate those of the environment."""
    texts = given if isinstance(given, list | tuple) else [given or ""]
    return tuple(dict.fromkeys(part for text in texts for part in str(text).split()))


class _RawValues:
    """Reads raw values and collects what is wrong with them."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        value = self._values[name]
        text = str(value) if value is not None else ""
        if not text:
            self._problem(name, "is missing" if value is None else "is empty", f"give {_BY_NAME[name].metavar}")
        return text

    def choice(self, name: str) -> str:
        text = self.text(name)
        choices = _BY_NAME[name].choices
        if text and text not in choices:
            self._problem(name, f"{text!r} is not known", f"use {' or '.join(choices)}")
        return text

    def port(self, name: str) -> int:
        value = self._values[name]
        try:
            number = int(str(value))
        except ValueError:
            number = -1
        if not 0 <= number <= 65535:
            self._problem(name, f"{value!r} is no port", "use a number from 0 to 65535")
            return 0
        return number

    def seconds(self, name: str) -> float:
        value = self._values[name]
        try:
            number = float(str(value))
        except ValueError:
            number = -1.0
        if not 0 <= number <= _LONGEST_DELAY:
            self._problem(name, f"{value!r} is no delay", f"use seconds from 0 to {_LONGEST_DELAY:.0f}")
            return 0.0
        return number

    def directory(self, name: str) -> Path:
        text = self.text(name)
        if text and not Path(text).is_dir():
            self._problem(name, f"{text} is not a directory", "give one that exists")
        return Path(text)

    def policies(self) -> Path | None:
        if self._values["cluster"] == "live" and not self._values["policies"]:
            return None
        return self.directory("policies")

    def cluster(self) -> Path | None:
        return None if self._values["cluster"] == "live" else self.directory("cluster")

    def certs_secret(self) -> str | None:
        given = self._values["certs_secret"]
        if not given:
            return None
        if self._values["cluster"] != "live":
            self._problem("certs_secret", "there is no Secret without a cluster", "use --cluster live, or --certs DIR")
        if not _OBJECT_NAME.fullmatch(str(given)):
            self._problem("certs_secret", f"{given!r} is no object name", "use lower case letters, digits, - and .")
        return str(given)

    def optional_file(self, name: str, content: str) -> Path | None:
        if not self._values[name]:
            return None
        path = Path(str(self._values[name]))
        if not path.is_file():
            self._problem(name, f"{path} is not a file", f"give a {content} that exists")
        return path

    def client_names(self) -> tuple[str, ...]:
        names = _words(self._values["client_name"])
        if names and not self._values["client_ca"]:
            self._problem("client_name", "there are no certificates without an authority", "give --client-ca as well")
        return names

    def address(self, name: str) -> str | None:
        given = str(self._values[name] or "").strip()
        if not given:
            return None
        try:
            parts = urlsplit(given)
            is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable:
            # Not quoted: it may be a secret with a slip of the pen.
            self._problem(name, "is no address", "give one that begins with https://")
        return given

    def globs(self, name: str) -> tuple[str, ...]:
        parts = _words(self._values[name])
        for part in parts:
            if not _GLOB.fullmatch(part):
                self._problem(name, f"{part!r} can match no namespace", "use lower case letters, digits, -, * and ?")
        return parts

    def namespaces(self, name: str) -> tuple[str, ...]:
        parts = _words(self._values[name] or _BY_NAME[name].default)
        for part in parts:
            if not _NAMESPACE.fullmatch(part):
                self._problem(name, f"{part!r} is no namespace name", "use lower case letters, digits and -")
        return parts

    def namespace(self, name: str) -> str:
        text = self.text(name)
        if text and not _NAMESPACE.fullmatch(text):
            self._problem(name, f"{text!r} is no namespace name", "use lower case letters, digits and -")
        return text

    def distinct_ports(self, settings: Settings) -> None:
        seen: dict[int, str] = {}
        for name in ("port", "ops_port", "dashboard_port"):
            number = getattr(settings, name)
            if not number:
                continue
            if number in seen:
                self._problem(name, f"{number} is taken by {seen[number]}", "choose another port")
            seen[number] = _BY_NAME[name].flag

    def _problem(self, name: str, what: str, cure: str) -> None:
        self.problems.append(f"{_BY_NAME[name].flag}: {what}; {cure}")
