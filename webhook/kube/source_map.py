"""Where the fields of an object stand in its file, for who points people at the line that they have to mend.

A manifest is read without places (`webhook.kube._yaml`), because nearly nobody asks for them. Here a file is looked at
once more, for the few objects that have findings.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_LIST_LEVELS: Final = 8
"""Lists in lists that are looked into, as when manifests are read."""


class SourceMap:
    """The objects of one text by the line that they begin at."""

    def __init__(self, text: str, lines: Iterable[int]) -> None:
        """Args:
        text: YAML or JSON; of one that cannot be read nothing is known.
        lines: of the objects that will be asked about, from 1.
        """
        self._objects: dict[int, yaml.Node] = {}
        wanted = frozenset(lines)
        try:
            for root in yaml.compose_all(text, Loader=_LOADER):
                if root is not None:
                    self._note(root, wanted)
        except (yaml.YAMLError, RecursionError):
            # What was read before it stands, as it does for verdicts.
            return

    def line(self, at: int, path: str) -> int:
        """Return the line of a field, or of the deepest field above it that is written.

        Args:
            at: line that the object begins at.
            path: such as ``spec.containers[0].securityContext``.
        """
        return self.line_of(at, [name or int(index) for name, index in _STEP.findall(path)])

    def line_of(self, at: int, steps: Iterable[str | int]) -> int:
        """Return the same by the steps of a path, whose keys may be of any text."""
        node, line = self._objects.get(at), at
        for step in steps:
            if isinstance(node, yaml.MappingNode) and isinstance(step, str):
                found = [each for each in node.value if each[0].value == step]
                if not found:
                    break
                key, node = found[0]
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line

    def _note(self, node: yaml.Node, wanted: frozenset[int], level: int = 0) -> None:
        line = node.start_mark.line + 1
        if line in wanted:
            self._objects.setdefault(line, node)
        if not isinstance(node, yaml.MappingNode) or level >= _LIST_LEVELS:
            return
        for key, value in node.value:
            if key.value == "items" and isinstance(value, yaml.SequenceNode):
                for each in value.value:
                    self._note(each, wanted, level + 1)


TEMPLATES: Final[Mapping[str, str]] = {"Pod": "", "CronJob": "spec.jobTemplate.spec.template."}
"""What stands before a field of the pod, by the kind of the object; other workloads have ``spec.template``."""


def in_object(kind: str, path: str) -> str:
    """Return the path of a pod's field in the object that holds the pod."""
    return TEMPLATES.get(kind, "spec.template.") + path
