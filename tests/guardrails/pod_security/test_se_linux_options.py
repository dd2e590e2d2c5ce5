"""Tables of the Pod Security check `seLinuxOptions`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, container, in_context, judge, pod, said, secure

CHECK = "seLinuxOptions"

PASSES = [
    pytest.param(pod(), "latest", id="none"),
    pytest.param(in_context(seLinuxOptions={}), "latest", id="empty object"),
    pytest.param(in_context(seLinuxOptions={"type": "", "user": "", "role": ""}), "latest", id="empty texts"),
    pytest.param(in_context(seLinuxOptions={"level": "s0:c1"}), "latest", id="any level"),
    pytest.param(
        pod(
            container(securityContext=secure(seLinuxOptions={"type": "container_kvm_t"})),
            pod_context={"seLinuxOptions": {"type": "container_init_t"}},
        ),
        "v1.0",
        id="allowed types",
    ),
    pytest.param(in_context(seLinuxOptions={"type": "container_engine_t"}), "v1.31", id="containers in containers"),
]

FAILS = [
    pytest.param(
        in_context(seLinuxOptions={"type": "container_engine_t"}),
        "v1.30",
        ('seLinuxOptions (container "c" set forbidden securityContext.seLinuxOptions: type "container_engine_t")'),
        ("spec.containers[0].securityContext.seLinuxOptions",),
        id="not allowed yet",
    ),
    pytest.param(
        pod(
            container(securityContext=secure(seLinuxOptions={"type": "b", "user": "u"})),
            pod_context={"seLinuxOptions": {"type": "a", "role": "r"}},
        ),
        "latest",
        (
            'seLinuxOptions (pod and container "c" set forbidden securityContext.seLinuxOptions: types '
            '"a", "b"; user may not be set; role may not be set)'
        ),
        ("spec.securityContext.seLinuxOptions", "spec.containers[0].securityContext.seLinuxOptions"),
        id="everything",
    ),
    pytest.param(
        pod(pod_context={"seLinuxOptions": {"user": "u"}}),
        "v1.0",
        "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: user may not be set)",
        ("spec.securityContext.seLinuxOptions",),
        id="a user alone",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_se_linux_options_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_se_linux_options_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
