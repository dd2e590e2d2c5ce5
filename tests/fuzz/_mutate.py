"""Recorded reviews, damaged: in their structure, in their bytes, in their depth and in their size. Everything follows
from the seed of the random numbers that are passed in."""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.fuzz import _nasty

JsonObject = dict[str, Any]

NAMESPACES = ("team-alpha", "team-alpha", "team-beta", "batch-jobs", "monitoring", "ci-cd", "unknown")
DEPTHS = (50, 300, 972, 1_500, 9_995)
_QUANTITIES = ("0", "1m", "100m", "1", "1500m", "64", "64Mi", "128Mi", "1Gi", "300Gi", "1.5Gi", "1e3", "0.1", "-1", "x")
_RESOURCES = ("cpu", "memory", "ephemeral-storage", "nvidia.com/gpu", "hugepages-2Mi", "example.com/unpriced")


class Damage:
    """A source of damaged reviews.

    Args:
        recorded: reviews as JSON lines.
        random: decides everything.
    """

    def __init__(self, recorded: Sequence[bytes], random: random.Random) -> None:
        self._recorded = recorded
        self._random = random

    def next(self) -> bytes:
        """Return the body of one more review."""
        choose = self._random
        review = self._moved()
        for _ in range(choose.randint(0, 5)):
            choose.choice((self._structure, self._structure, self._resources))(review)
        roll = choose.random()
        if roll < 0.02:
            return self._deep(review)
        body = json.dumps(review).encode()
        if roll < 0.022:
            return self._large(review)
        return self._bytes(body) if roll < 0.27 else body

    def _moved(self) -> JsonObject:
        """Return a recorded review as it might come from one of the embedded cluster's namespaces."""
        review: JsonObject = json.loads(self._random.choice(self._recorded))
        request = review["request"]
        if self._random.random() < 0.9:
            request["namespace"] = self._random.choice(NAMESPACES)
        return review

    def _structure(self, review: JsonObject) -> None:
        choose = self._random
        root = review if choose.random() < 0.1 else _request(review).get("object") or _request(review)
        found = _nasty.places(root, [])
        if not found:
            return
        holder, key = choose.choice(found)
        value = copy.deepcopy(choose.choice(_nasty.VALUES))
        actions: list[Callable[[], object]] = [
            lambda: holder.pop(key),
            lambda: holder.__setitem__(key, value),
            lambda: holder.__setitem__(key, value),
        ]
        if isinstance(holder, list):
            actions += [lambda: holder.append(copy.deepcopy(holder[key])), lambda: holder.insert(key, value)]
        else:
            actions += [lambda: holder.__setitem__(choose.choice(_nasty.KEYS), value)]
        choose.choice(actions)()

    def _resources(self, review: JsonObject) -> None:
        """Give a container other resources, most of them sound."""
        choose = self._random
        found = _request(review).get("object")
        spec = found.get("spec") if isinstance(found, dict) else None
        if isinstance(spec, dict) and isinstance(spec.get("template"), dict):
            spec = spec["template"].get("spec")
        containers = spec.get("containers") if isinstance(spec, dict) else None
        if not isinstance(containers, list) or not containers or not isinstance(containers[-1], dict):
            return
        held: JsonObject = {}
        for kind in ("requests", "limits"):
            if choose.random() < 0.7:
                names = choose.sample(_RESOURCES, choose.randint(1, 3))
                held[kind] = {name: choose.choice(_QUANTITIES) for name in names}
        containers[choose.randrange(len(containers))] = {**containers[-1], "resources": held}

    def _deep(self, review: JsonObject) -> bytes:
        """Nest something deeply where nobody reads it; as text, since Python's own encoder is recursive."""
        depth = self._random.choice(DEPTHS)
        nested = '{"f:a":' * depth + "{}" + "}" * depth if self._random.random() < 0.5 else "[" * depth + "]" * depth
        marker = "podgate-fuzz-marker"
        found = _request(review).get("object")
        target = found.get("metadata") if isinstance(found, dict) else None
        if not isinstance(target, dict):
            target = _request(review)
        kind = self._random.choice(("managedFields", "unknown", "x-y"))
        target[kind] = [{"manager": "fuzz", "fieldsV1": marker}] if kind == "managedFields" else marker
        return json.dumps(review).replace(f'"{marker}"', nested, 1).encode()

    def _large(self, review: JsonObject) -> bytes:
        found = _request(review).get("object")
        target = found if isinstance(found, dict) else _request(review)
        target["padding"] = "<" * self._random.choice((200_000, 2_000_000))
        return json.dumps(review).replace("<", "\\u003c").encode()

    def _bytes(self, body: bytes) -> bytes:
        choose = self._random
        damaged = bytearray(body)
        for _ in range(choose.randint(1, 4)):
            at = choose.randrange(len(damaged))
            to = min(len(damaged), at + choose.randint(1, 60))
            match choose.randrange(5):
                case 0:
                    damaged[at] = choose.randrange(256)
                case 1:
                    del damaged[at:to]
                case 2:
                    damaged[at:at] = choose.randbytes(choose.randint(1, 8))
                case 3:
                    damaged[at:at] = damaged[at:to]
                case _:
                    damaged[at] ^= 1 << choose.randrange(8)
            if not damaged:
                return b"{"
        return bytes(damaged)


def _request(review: JsonObject) -> JsonObject:
    """Return the request of a review that may have lost it."""
    found = review.get("request")
    return found if isinstance(found, dict) else review
