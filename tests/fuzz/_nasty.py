"""Values that break careless code, and the places in a document to put them."""

from typing import Any

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    7,
    2**31,
    2**63,
    2**64,
    10**30,
    1.5,
    1e308,
    -0.0,
    "",
    " ",
    "0",
    "-1",
    "1e999999",
    "1E-999999",
    "1Ki i",
    "100m",
    "64Mi",
    "9" * 5_000,
    "0." + "0" * 400 + "1",
    "a\nb\r\x00\x1b[31m",
    "\ud800",
    "é" * 70,
    "/~0~1",
    "cost-center",
    "engineering-alpha",
    "spot,binPacking",
    "Node",
    "Deployment",
    "default-scheduler",
    "ALL",
    "Localhost",
    '{"app": {"requests": {"cpu": "1"}, "applied": {"requests": {"cpu": "2"}}}}',
    [],
    {},
    [None],
    [{}],
    [[]],
    [""],
    {"": None},
    {"": ""},
    {"cpu": "1", "memory": "1Gi"},
    {"cpu": None},
    {"cpu": -1, "memory": 1e30},
    {"a/b~c": {"d": []}},
    {"name": "app"},
    {"cost-center": "marketing"},
    {"podgate.dev/skip": "spot,binPacking"},
    {"podgate.dev/expected-runtime": "9" * 400 + "h"},
]

KEYS = (
    "metadata",
    "labels",
    "annotations",
    "ownerReferences",
    "spec",
    "containers",
    "initContainers",
    "resources",
    "requests",
    "limits",
    "securityContext",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "volumes",
    "schedulerName",
    "name",
    "cpu",
    "memory",
)
"""Keys that guardrails read; they are hit more often than chance would."""


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:  # noqa: ANN401  any JSON
    """Collect (container, key) of every node, the names that guardrails read thrice."""
    if isinstance(value, dict):
        for key, item in value.items():
            found.extend([(value, key)] * (3 if key in KEYS else 1))
            places(item, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found.append((value, index))
            places(item, found)
    return found
