"""The parts of pods that Pod Security alone reads, as typed structs; see `webhook.kube.objects` for the others."""

from typing import Any

from webhook.kube._object import Object


class Capabilities(Object):
    add: list[str] | None = None
    drop: list[str] | None = None


class SELinuxOptions(Object):
    user: str | None = None
    role: str | None = None
    type: str | None = None
    level: str | None = None


class TypedProfile(Object):
    """A seccomp or AppArmor profile; the object may be present with no type, which is not the same as absent."""

    type: str | None = None


class WindowsOptions(Object):
    host_process: bool | None = None


class SecurityContext(Object):
    """Of a container."""

    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    proc_mount: str | None = None
    capabilities: Capabilities | None = None
    se_linux_options: SELinuxOptions | None = None
    seccomp_profile: TypedProfile | None = None
    app_armor_profile: TypedProfile | None = None
    windows_options: WindowsOptions | None = None
    ulimits: Any = None
    """A list or an object, since the API is not settled; whether it is there is all that counts."""


class Sysctl(Object):
    name: str = ""


class PodSecurityContext(Object):
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    se_linux_options: SELinuxOptions | None = None
    seccomp_profile: TypedProfile | None = None
    app_armor_profile: TypedProfile | None = None
    windows_options: WindowsOptions | None = None
    sysctls: list[Sysctl] | None = None


class ContainerPort(Object):
    host_port: int | None = None
    container_port: int | None = None


class HostAction(Object):
    """An ``httpGet`` or ``tcpSocket`` action; only its host is read."""

    host: str | None = None


class ProbeHandler(Object):
    """A probe or a lifecycle handler."""

    http_get: HostAction | None = None
    tcp_socket: HostAction | None = None


class Lifecycle(Object):
    post_start: ProbeHandler | None = None
    pre_stop: ProbeHandler | None = None
