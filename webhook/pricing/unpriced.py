"""What is said of parts of a pod that have no price, and what mends it."""

from collections.abc import Sequence
from typing import Final

from webhook.pricing import words

_UNKNOWN: Final = ", which "
"""In texts about what no price list can help with: ``claim gpus, which does not exist``."""
_DEVICES: Final = "devices of class "


def kind_of(text: str) -> str:
    """Return what a text is about without its amount: ``nvidia.com/mig-7g.80gb``, ``devices of class gold``; empty
    where no price would help."""
    if _UNKNOWN in text:
        return ""
    kind = text.partition(" ")[2]
    return kind.replace("device of class ", _DEVICES, 1) if kind.startswith("device of class ") else kind


def where(kind: str) -> tuple[str, str]:
    """Return the name of what has no price, and the field of a PriceList that is for it."""
    if kind.startswith(_DEVICES):
        return kind.removeprefix(_DEVICES), "spec.onDemand.claims"
    return kind, "spec.onDemand.resources"


def listed(texts: Sequence[str]) -> str:
    """Return the texts as a part of a sentence, which may go on behind them."""
    return f"{words.listed(texts)}{',' if _UNKNOWN in texts[-1] else ''}"


def unpriced_text(texts: Sequence[str]) -> tuple[str, str]:
    """Return what is wrong with a pod that asks for these, and the cure."""
    kinds = dict.fromkeys(kind for kind in map(kind_of, texts) if kind)
    lacking = [text for text in texts if _UNKNOWN not in text]
    unknown = [text for text in texts if _UNKNOWN in text]
    parts: list[str] = []
    cures: list[str] = []
    if lacking:
        parts.append(f"{words.listed(lacking)}, which the price list has no price of")
        cures.append(f"add a price of {words.listed(kinds)} to the PriceList, or remove the request")
    if unknown:
        parts.append(words.listed(unknown))
        cures.append("create what the pod claims before the pod, or correct spec.resourceClaims")
    return f"asks for {', and for '.join(parts)}", "; ".join(cures)
