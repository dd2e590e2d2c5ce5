"""Tells a chat, or whatever takes JSON by HTTP, that a budget has reached a threshold.

The address is a secret: whoever knows it can write into the chat. No log line and no error names more of it than the
host. An answer other than 2xx is a failure, and a redirect is never followed: it would take the message elsewhere.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3

from webhook.admission.budget_status import BudgetStatus
from webhook.settings import NotifyForm

FORMS: Final[tuple[str, ...]] = ("slack", "json")

TIMEOUT: Final = 5.0
"""Seconds until an answer must be there."""


class NotifyError(Exception):
    """A message that was not taken; one line without the address."""


class Notifier:
    """Sends one message at a time; blocking."""

    def __init__(self, url: str, form: NotifyForm, *, pool: urllib3.PoolManager | None = None) -> None:
        """Args:
        url: where messages go.
        form: ``slack`` for chats that take ``{"text": ...}``, ``json`` for the numbers as fields.
        pool: connections; for tests.
        """
        self._url = url
        self._form = form
        self._host = urlsplit(url).hostname or "the notification address"
        self._pool = pool or urllib3.PoolManager()

    def send(self, stands: BudgetStatus, threshold: int) -> None:
        """Send one message.

        Raises:
            NotifyError: it was not taken.
        """
        body = json.dumps(message(stands, threshold, self._form)).encode()
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._pool.request(
                "POST", self._url, body=body, headers=headers, timeout=TIMEOUT, retries=False, redirect=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # Its text may hold the address.
            raise NotifyError(f"{self._host}: no answer ({type(error).__name__})") from None
        if not 200 <= answer.status < 300:
            raise NotifyError(f"{self._host}: answered {answer.status}; check the address in the notification settings")


def text(stands: BudgetStatus, threshold: int) -> str:
    """Return what people read."""
    return f'budget "{stands.name}" has reached {threshold} %: {stands.text()}'


def message(stands: BudgetStatus, threshold: int, form: NotifyForm) -> Mapping[str, Any]:
    """Return what is sent."""
    if form == "slack":
        return {"text": text(stands, threshold)}
    return {
        "text": text(stands, threshold),
        "budget": stands.name,
        "threshold": threshold,
        "percent": stands.percent,
        "state": stands.state,
        "committed": stands.committed_text,
        "amount": stands.amount_text,
        "currency": stands.currency,
        "period": stands.unit,
        "periodBegin": stands.begin.isoformat(),
    }
