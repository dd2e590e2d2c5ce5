"""The settings of `serve`: defaults, checks, and that flags, environment and fields are the same list."""

import dataclasses
from pathlib import Path

import pytest

from webhook.settings import OPTIONS, Settings, SettingsError

PUBLIC_FLAGS = {
    "--policies",
    "--cluster",
    "--mode",
    "--host",
    "--port",
    "--ops-port",
    "--certs",
    "--client-ca",
    "--client-name",
    "--exclude-namespaces",
    "--dashboard-port",
    "--dashboard-host",
}


def problems(tmp_path: Path, **changed: object) -> tuple[str, ...]:
    """Return what is wrong with settings that are right but for `changed`."""
    with pytest.raises(SettingsError) as caught:
        Settings.build(**{"policies": tmp_path, "cluster": tmp_path, **changed})
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_what_is_not_given_takes_its_default(tmp_path: Path) -> None:
    settings = Settings.build(policies=str(tmp_path), cluster=str(tmp_path), host=None, exclude_namespaces=())

    assert settings == Settings(
        policies=tmp_path,
        cluster=tmp_path,
        mode="enforce",
        host="::",
        port=8443,
        ops_port=8080,
        certs=Path(".local/certs"),
        certs_secret=None,
        webhooks="podgate",
        client_ca=None,
        client_name=(),
        exclude_namespaces=(),
        namespace="podgate",
        shutdown_delay=5.0,
        kubeconfig=None,
        scheduler_namespaces=("kube-system",),
        notify_url=None,
        notify_form="slack",
        allocation_url=None,
        scan_interval=3600.0,
        dashboard_port=8081,
        dashboard_host="127.0.0.1",
        log_file=None,
    )


def test_every_flag_of_the_contract_is_there() -> None:
    assert {option.flag for option in OPTIONS} >= PUBLIC_FLAGS


def test_flags_and_fields_are_one_list() -> None:
    assert [option.name for option in OPTIONS] == [field.name for field in dataclasses.fields(Settings)]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_flag_has_its_environment_variable_and_a_sentence(option: object) -> None:
    assert dataclasses.is_dataclass(option)
    name = getattr(option, "name", "")
    assert getattr(option, "variable", "") == f"PODGATE_{name.upper()}"
    assert getattr(option, "flag", "") == f"--{name.replace('_', '-')}"
    assert str(getattr(option, "help", "")).endswith(".")


@pytest.mark.parametrize(
    ("given", "globs"),
    [
        pytest.param((), (), id="none"),
        pytest.param(("legacy-*", "tmp-?"), ("legacy-*", "tmp-?"), id="repeated flag"),
        pytest.param("legacy-* tmp-?", ("legacy-*", "tmp-?"), id="environment, with blanks"),
        pytest.param(("a b", "b"), ("a", "b"), id="named twice"),
    ],
)
def test_excluded_namespaces_come_as_a_list_or_as_words(tmp_path: Path, given: object, globs: tuple[str, ...]) -> None:
    settings = Settings.build(policies=tmp_path, cluster=tmp_path, exclude_namespaces=given)

    assert settings.exclude_namespaces == globs


@pytest.mark.parametrize("policies", [None, "here"])
def test_a_live_cluster_has_policies_in_files_or_as_resources(tmp_path: Path, policies: str | None) -> None:
    given = tmp_path if policies is not None else None
    settings = Settings.build(policies=given, cluster="live")

    assert (settings.cluster, settings.policies) == (None, given)


@pytest.mark.parametrize("given", [(), None])
def test_leases_of_schedulers_are_believed_in_kube_system_unless_told_otherwise(tmp_path: Path, given: object) -> None:
    settings = Settings.build(policies=tmp_path, cluster="live", scheduler_namespaces=given)

    assert settings.scheduler_namespaces == ("kube-system",)


def test_port_0_takes_a_free_one_for_both(tmp_path: Path) -> None:
    settings = Settings.build(policies=tmp_path, cluster=tmp_path, port=0, ops_port=0)

    assert (settings.port, settings.ops_port) == (0, 0)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param({"policies": None}, "--policies: is missing; give DIR", id="no policies"),
        pytest.param({"policies": "/none"}, "--policies: /none is not a directory; give one that exists", id="gone"),
        pytest.param({"cluster": ""}, "--cluster: is empty; give live|DIR", id="empty cluster"),
        pytest.param(
            {"cluster": "live", "policies": "/none"},
            "--policies: /none is not a directory; give one that exists",
            id="live with policies that are gone",
        ),
        pytest.param(
            {"cluster": "live", "kubeconfig": "/none"},
            "--kubeconfig: /none is not a file; give a kubeconfig that exists",
            id="kubeconfig gone",
        ),
        pytest.param(
            {"scheduler_namespaces": "Kube_System"},
            "--scheduler-namespaces: 'Kube_System' is no namespace name; use lower case letters, digits and -",
            id="scheduler namespace",
        ),
        pytest.param({"mode": "warn"}, "--mode: 'warn' is not known; use enforce or audit", id="unknown mode"),
        pytest.param({"port": 65536}, "--port: 65536 is no port; use a number from 0 to 65535", id="port too large"),
        pytest.param({"ops_port": -1}, "--ops-port: -1 is no port; use a number from 0 to 65535", id="port negative"),
        pytest.param({"port": "x"}, "--port: 'x' is no port; use a number from 0 to 65535", id="port is a word"),
        pytest.param({"port": 8080}, "--ops-port: 8080 is taken by --port; choose another port", id="same port"),
        pytest.param(
            {"ops_port": 8081}, "--dashboard-port: 8081 is taken by --ops-port; choose another port", id="pages' port"
        ),
        pytest.param(
            {"dashboard_port": "x"}, "--dashboard-port: 'x' is no port; use a number from 0 to 65535", id="no port"
        ),
        pytest.param({"dashboard_host": ""}, "--dashboard-host: is empty; give H", id="no host"),
        pytest.param(
            {"shutdown_delay": "nan"}, "--shutdown-delay: 'nan' is no delay; use seconds from 0 to 3600", id="nan"
        ),
        pytest.param(
            {"client_ca": "/none.pem"},
            "--client-ca: /none.pem is not a file; give a PEM file that exists",
            id="client authority gone",
        ),
        pytest.param(
            {"client_name": ["kube-apiserver"]},
            "--client-name: there are no certificates without an authority; give --client-ca as well",
            id="names of no authority",
        ),
        pytest.param(
            {"exclude_namespaces": ["Team_A"]},
            "--exclude-namespaces: 'Team_A' can match no namespace; use lower case letters, digits, -, * and ?",
            id="glob of no namespace",
        ),
        pytest.param(
            {"exclude_namespaces": ["tmp-[0-9]"]},
            "--exclude-namespaces: 'tmp-[0-9]' can match no namespace; use lower case letters, digits, -, * and ?",
            id="brackets, which globs read as they stand",
        ),
        pytest.param(
            {"exclude_namespaces": ["a" * 64]},
            f"--exclude-namespaces: {'a' * 64!r} can match no namespace; use lower case letters, digits, -, * and ?",
            id="longer than any namespace",
        ),
        pytest.param(
            {"namespace": "pod.gate"},
            "--namespace: 'pod.gate' is no namespace name; use lower case letters, digits and -",
            id="namespace with a dot",
        ),
    ],
)
def test_what_cannot_be_served_with_is_one_line(tmp_path: Path, changed: dict[str, object], problem: str) -> None:
    assert problems(tmp_path, **changed) == (problem,)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, mode="x", port=-1, policies="/none")) == 3


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, portt=1) == ("portt: no such setting; see `podgate serve --help`",)


@pytest.mark.parametrize("url", ["chat.example/secret", "ftp://chat.example/secret", "https://", "https://[secret"])
def test_an_address_that_cannot_be_notified_is_refused_without_being_shown(tmp_path: Path, url: str) -> None:
    assert problems(tmp_path, notify_url=url) == ("--notify-url: is no address; give one that begins with https://",)


def test_the_address_that_is_notified_is_never_shown(tmp_path: Path) -> None:
    settings = Settings.build(policies=tmp_path, cluster=tmp_path, notify_url="https://chat.example/secret")
    assert settings.notify_url == "https://chat.example/secret"
    assert settings.notify_form == "slack"
    assert "chat.example" not in repr(settings)
