"""Tables of the Pod Security check `sysctls`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, judge, pod, said

CHECK = "sysctls"

PASSES = [
    pytest.param(pod(), "latest", id="none"),
    pytest.param(
        pod(
            pod_context={
                "sysctls": [
                    {"name": "kernel.shm_rmid_forced"},
                    {"name": "net.ipv4.ip_local_port_range"},
                    {"name": "net.ipv4.tcp_syncookies"},
                    {"name": "net.ipv4.ping_group_range"},
                    {"name": "net.ipv4.ip_unprivileged_port_start"},
                ]
            }
        ),
        "v1.0",
        id="the first five",
    ),
    pytest.param(
        pod(pod_context={"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}), "v1.27", id="reserved ports"
    ),
    pytest.param(
        pod(
            pod_context={
                "sysctls": [
                    {"name": "net.ipv4.tcp_keepalive_time"},
                    {"name": "net.ipv4.tcp_fin_timeout"},
                    {"name": "net.ipv4.tcp_keepalive_intvl"},
                    {"name": "net.ipv4.tcp_keepalive_probes"},
                ]
            }
        ),
        "v1.29",
        id="keepalive",
    ),
    pytest.param(
        pod(pod_context={"sysctls": [{"name": "net.ipv4.tcp_rmem"}, {"name": "net.ipv4.tcp_wmem"}]}),
        "v1.32",
        id="buffers",
    ),
    pytest.param(
        pod(
            pod_context={
                "sysctls": [{"name": "net.ipv4.tcp_slow_start_after_idle"}, {"name": "net.ipv4.tcp_notsent_lowat"}]
            }
        ),
        "v1.37",
        id="slow start",
    ),
]

FAILS = [
    pytest.param(
        pod(pod_context={"sysctls": [{"name": "z"}, {"name": "net.ipv4.tcp_rmem"}, {"name": "a"}, {"name": "z"}]}),
        "latest",
        "forbidden sysctls (z, a, z)",
        (
            "spec.securityContext.sysctls[0].name",
            "spec.securityContext.sysctls[2].name",
            "spec.securityContext.sysctls[3].name",
        ),
        id="neither sorted nor said once",
    ),
    pytest.param(
        pod(pod_context={"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}),
        "v1.26",
        "forbidden sysctls (net.ipv4.ip_local_reserved_ports)",
        ("spec.securityContext.sysctls[0].name",),
        id="reserved ports, too early",
    ),
    pytest.param(
        pod(pod_context={"sysctls": [{"name": "net.ipv4.tcp_keepalive_time"}]}),
        "v1.28",
        "forbidden sysctls (net.ipv4.tcp_keepalive_time)",
        ("spec.securityContext.sysctls[0].name",),
        id="keepalive, too early",
    ),
    pytest.param(
        pod(pod_context={"sysctls": [{"name": "net.ipv4.tcp_wmem"}]}),
        "v1.31",
        "forbidden sysctls (net.ipv4.tcp_wmem)",
        ("spec.securityContext.sysctls[0].name",),
        id="buffers, too early",
    ),
    pytest.param(
        pod(pod_context={"sysctls": [{"name": "net.ipv4.tcp_notsent_lowat"}]}),
        "v1.36",
        "forbidden sysctls (net.ipv4.tcp_notsent_lowat)",
        ("spec.securityContext.sysctls[0].name",),
        id="slow start, too early",
    ),
    pytest.param(
        pod(pod_context={"sysctls": [{"name": "net/ipv4/tcp_syncookies"}]}),
        "v1.0",
        "forbidden sysctls (net/ipv4/tcp_syncookies)",
        ("spec.securityContext.sysctls[0].name",),
        id="slashes are not dots",
    ),
    pytest.param(
        pod(pod_context={"sysctls": [{"name": ""}]}),
        "latest",
        "forbidden sysctls",
        ("spec.securityContext.sysctls[0].name",),
        id="an empty name has no detail",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_sysctls_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_sysctls_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
