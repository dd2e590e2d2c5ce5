"""Reviews as the validating call gets them: with the patch of the mutating call, a name and a UID."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import httpx
import jsonpatch


def as_stored(client: httpx.Client, bodies: Sequence[bytes]) -> list[bytes]:
    """Send each review through ``/mutate`` and return what the API server would send to ``/validate`` next."""
    return [_stored(client, body, number) for number, body in enumerate(bodies)]


def _stored(client: httpx.Client, body: bytes, number: int) -> bytes:
    review: dict[str, Any] = json.loads(body)
    request = review["request"]
    answer = client.post("/mutate", content=body, headers={"content-type": "application/json"})
    answer.raise_for_status()
    encoded = answer.json()["response"].get("patch")
    if encoded:
        request["object"] = jsonpatch.JsonPatch.from_string(base64.b64decode(encoded).decode()).apply(request["object"])
    metadata = (request.get("object") or {}).get("metadata")
    if metadata is not None:
        metadata.setdefault("uid", f"00000000-0000-4000-8000-{number:012}")
        metadata.setdefault("name", f"{metadata.get('generateName', 'pod-')}{number:05}")
        request["name"] = metadata["name"]
    return json.dumps(review, separators=(",", ":")).encode()
