"""Kubernetes objects as YAML text that means the same to everybody who reads it.

The usual Python writer leaves a text unquoted where Python reads it back as text. Kubernetes reads some of those as
something else: ``y`` and ``on`` as true, ``1e3`` as a number, ``0o7`` as 7. Here a text is quoted where either of the
two would not read it as text.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from webhook.kube import _yaml


def dump(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return a YAML stream of plain JSON data, keys in the order given; several documents each start with ``---``."""
    written = list(documents)
    return yaml.dump_all(
        written,
        Dumper=_Dumper,
        explicit_start=len(written) > 1,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
    )


class _Dumper(yaml.SafeDumper):
    """Writes out what is there twice, because anchors are for machines and this is read by people."""

    def ignore_aliases(self, data: object) -> bool:
        """Say that every value is written out."""
        del data
        return True


_OTHER_BREAKS = frozenset("\r\x85\u2028\u2029")
"""Line breaks of YAML 1.1 that readers fold into a blank, unless they are escaped."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = None if _is_plain(value) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, '"' if _OTHER_BREAKS & set(value) else style)


def _is_plain(value: str) -> bool:
    try:
        return _yaml.resolve(value) == value
    except _yaml.YamlError:
        # Infinity and not-a-number, which have a meaning as YAML and none in a manifest.
        return False


_Dumper.add_representer(str, _text)
