"""What the front page shows as said by Podgate is what it says, under the policies and the cluster that are shipped."""

import re

from tests import factories
from tests.docs import _markdown
from tests.docs._markdown import ROOT
from webhook import assembly
from webhook.admission.ruleset import Ruleset
from webhook.cluster.snapshot import Snapshot

SECURE = {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
POD_SECURE = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def shown() -> list[str]:
    """Messages of the front page, their wrapped lines joined."""
    blocks = _markdown.blocks((ROOT / "README.md").read_text())
    text = "".join(block.text for block in blocks if block.language == "text")
    return re.sub(r"\n  ", " ", text).splitlines()


def test_the_messages_of_the_front_page_are_real() -> None:
    world = factories.World(
        rules=Ruleset(assembly.load_policies(ROOT / "policies"), ("podgate",), "enforce"),
        view=Snapshot.from_directory(ROOT / "manifests" / "embedded"),
    )
    template = factories.pod(
        factories.container("web", cpu="1", memory="2Gi", **SECURE), hostNetwork=True, securityContext=POD_SECURE
    )
    large = factories.pod(factories.container("web", cpu="8", memory="64Gi", **SECURE), securityContext=POD_SECURE)

    deployment = factories.deployment(3)
    deployment["spec"]["template"]["spec"] = template["spec"]
    warned = world.call("/validate", factories.review(deployment, namespace="team-alpha"))
    refused = world.call("/validate", factories.review(factories.stored(large), namespace="team-alpha"))

    warnings = [line.removeprefix("Warning: ") for line in shown() if line.startswith("Warning: ")]
    assert len(warnings) == 2
    assert [line for line in warnings if line not in warned.warnings] == []
    (denial,) = [line for line in shown() if not line.startswith("Warning: ")]
    assert not refused.allowed
    assert denial in refused.message
