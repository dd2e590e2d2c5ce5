"""Each alert fires for what it is about, and for nothing else, as Prometheus sees it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from tests.manifests import _rendered

PROMTOOL: Final = shutil.which("promtool")
MINUTES: Final = 200
"""How long each story is."""

pytestmark = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is missing: apt-get install prometheus, or put promtool of a release on the PATH"
)

POD = 'job="podgate",instance="a"'
OTHER = 'job="podgate",instance="b"'
WEBHOOK = 'name="cost.podgate.dev",instance="api"'


class Story(NamedTuple):
    """What is scraped, a value per minute, and at which minute it is looked at."""

    series: dict[str, str]
    minute: int


def always(value: str) -> str:
    """The same value all the time."""
    return f"{value}x{MINUTES}"


def of(metric: str, whose: str, **labels: str) -> str:
    """A series as the scrape names it."""
    return f"{metric}{{{whose}{''.join(f',{key}={json.dumps(value)}' for key, value in labels.items())}}}"


def counted(alert: str, series: str, *others: str, minute: int = 66) -> list[Any]:
    """An alert about single events: fires for the first and for a later one, not for those of long ago."""
    return [
        pytest.param(alert, True, Story({series: "_x60 1x40"}, minute), id=f"{alert}: the first event"),
        pytest.param(alert, True, Story({series: "3x60 4x40"}, minute), id=f"{alert}: one more"),
        pytest.param(
            alert, True, Story({series: "_x60 1x40", **dict.fromkeys(others, "0x100")}, minute), id=f"{alert}"
        ),
        pytest.param(alert, False, Story({series: "_x60 1x100"}, 140), id=f"{alert}: long ago"),
        pytest.param(alert, False, Story({series: "0x100"}, minute), id=f"{alert}: none"),
        pytest.param(alert, False, Story({}, minute), id=f"{alert}: never any"),
    ]


def held(alert: str, series: str, bad: str, good: str, minutes: int) -> list[Any]:
    """An alert about what stands for some minutes: fires after them, not before, and not for another value."""
    turned = Story({series: f"{good}x60 {bad}x100"}, 61 + minutes + 2)
    early = Story({series: f"{good}x60 {bad}x100"}, 61 + max(minutes - 2, -1))
    return [
        pytest.param(alert, True, turned, id=f"{alert}: for {minutes} minutes"),
        pytest.param(alert, False, early, id=f"{alert}: for less"),
        pytest.param(alert, False, Story({series: always(good)}, 120), id=f"{alert}: as it should be"),
    ]


SLOW = "podgate_review_duration_seconds_bucket"
FAST = {
    of(SLOW, POD, path="/mutate", le="0.01"): "0+100x200",
    of(SLOW, POD, path="/mutate", le="0.1"): "0+100x200",
    of(SLOW, POD, path="/mutate", le="+Inf"): "0+100x200",
}
LATE = {
    of(SLOW, POD, path="/mutate", le="0.01"): "0+90x200",
    of(SLOW, POD, path="/mutate", le="0.1"): "0+100x200",
    of(SLOW, POD, path="/mutate", le="+Inf"): "0+100x200",
}
REFUSED = of("podgate_reviews_total", POD, path="/validate", verdict="refused")
ALLOWED = of("podgate_reviews_total", POD, path="/validate", verdict="allowed")

STORIES: Final = [
    pytest.param(
        "PodgateDown", True, Story({of("up", POD): always("0"), of("up", OTHER): always("0")}, 6), id="all are down"
    ),
    pytest.param("PodgateDown", True, Story({}, 6), id="nobody is there"),
    pytest.param(
        "PodgateDown", False, Story({of("up", POD): always("0"), of("up", OTHER): always("1")}, 60), id="one answers"
    ),
    pytest.param(
        "PodgateReplicaMissing", True, Story({of("up", POD): always("1"), of("up", OTHER): always("0")}, 16), id="one"
    ),
    pytest.param(
        "PodgateReplicaMissing", False, Story({of("up", POD): always("1"), of("up", OTHER): always("1")}, 16), id="two"
    ),
    *counted("PodgateFailingOpen", of("apiserver_admission_webhook_fail_open_count", WEBHOOK)),
    *counted(
        "PodgateCallsFailing",
        of("apiserver_admission_webhook_rejection_count", WEBHOOK, error_type="calling_webhook_error"),
    ),
    pytest.param(
        "PodgateCallsFailing",
        False,
        Story({of("apiserver_admission_webhook_rejection_count", WEBHOOK, error_type="no_error"): "0+1x200"}, 66),
        id="refusals are no failures",
    ),
    *held(
        "PodgateCertificateExpiring", of("podgate_certificate_expiry_seconds", POD, part="ca"), "604799", "604801", 15
    ),
    *held(
        "PodgateCertificateExpiresToday", of("podgate_certificate_expiry_seconds", POD, part="ca"), "86399", "86401", 0
    ),
    *held("PodgatePoliciesRefused", of("podgate_policy_last_load_success", POD), "0", "1", 5),
    *held("PodgateWatchBroken", of("podgate_watch_state", POD, resource="pods", state="broken"), "1", "0", 10),
    *held("PodgateWatchBroken", of("podgate_watch_state", POD, resource="pods", state="forbidden"), "1", "0", 10),
    *held("PodgateSchedulerGone", of("podgate_scheduler_alive", POD, scheduler="packer"), "0", "1", 15),
    *counted("PodgateCallersRefused", of("podgate_handshakes_refused_total", POD, reason="missing")),
    *held("PodgateWebhookObjectsWrong", of("podgate_webhook_object_problems", POD, object="validating"), "1", "0", 2),
    *counted("PodgateOverloaded", of("podgate_unjudged_total", POD, path="/mutate", reason="overloaded")),
    *counted("PodgateUnjudged", of("podgate_unjudged_total", POD, path="/mutate", reason="fault")),
    pytest.param(
        "PodgateUnjudged",
        False,
        Story({of("podgate_unjudged_total", POD, path="/mutate", reason="overloaded"): "_x60 1x40"}, 66),
        id="overload has an alert of its own",
    ),
    pytest.param(
        "PodgateLedgerFailing",
        True,
        Story(
            {
                of("podgate_ledger_writes_total", POD, outcome="failed"): "_x60 4x40",
                of("podgate_ledger_writes_total", OTHER, outcome="expired"): "0x60 4x40",
            },
            67,
        ),
        id="many bookings fail",
    ),
    pytest.param(
        "PodgateLedgerFailing",
        False,
        Story(
            {
                of("podgate_ledger_writes_total", POD, outcome="failed"): "_x60 4x40",
                of("podgate_ledger_writes_total", POD, outcome="done"): "0+9x200",
            },
            67,
        ),
        id="few bookings fail",
    ),
    *held("PodgateLedgerNotShared", of("podgate_ledger_shared", POD), "0", "1", 10),
    *counted("PodgateLedgerRestored", of("podgate_ledger_restored_total", POD)),
    *held("PodgateNoLeader", of("podgate_leader", POD), "0", "1", 15),
    *held("PodgateClockSkew", of("podgate_clock_skew_seconds", POD), "61", "59", 15),
    *held("PodgateClockSkew", of("podgate_clock_skew_seconds", POD), "-61", "-59", 15),
    pytest.param("PodgateSlow", True, Story(LATE, 60), id="one in ten is slow"),
    pytest.param("PodgateSlow", False, Story(FAST, 60), id="all are fast"),
    *counted("PodgateFaults", of("podgate_http_faults_total", POD, where="after")),
    *counted("PodgateFaults", of("podgate_recorder_faults_total", POD), of("podgate_http_faults_total", POD)),
    pytest.param(
        "PodgateRefusesMost",
        True,
        Story({REFUSED: "0+60x200", ALLOWED: "0+40x200"}, 60),
        id="most are refused",
    ),
    pytest.param(
        "PodgateRefusesMost",
        False,
        Story({REFUSED: "0+40x200", ALLOWED: "0+60x200"}, 60),
        id="less than half is refused",
    ),
    pytest.param(
        "PodgateRefusesMost",
        False,
        Story({REFUSED: "0+2x200", ALLOWED: "0+1x200"}, 60),
        id="hardly anything is judged",
    ),
    *held("PodgateExceptionsEnding", of("podgate_exceptions", POD, state="ending"), "1", "0", 60),
]


def _groups() -> list[dict[str, Any]]:
    manifest = yaml.safe_load((_rendered.MANIFESTS / "monitoring" / "alerts.yaml").read_text())
    groups: list[dict[str, Any]] = manifest["spec"]["groups"]
    return groups


@pytest.mark.parametrize(("alert", "fires", "story"), STORIES)
def test_an_alert_fires_for_what_it_is_about_alone(alert: str, *, fires: bool, story: Story, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": _groups()}))
    expression = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0'
    told = [{"labels": "{}", "value": 1}] if fires else []
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in story.series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": f"{story.minute}m", "exp_samples": told}],
    }
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]})
    )
    assert PROMTOOL is not None
    ran = subprocess.run(  # noqa: S603  promtool on our own files
        [PROMTOOL, "test", "rules", "tests.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    told = {(param.values[0], param.values[1]) for param in STORIES}
    assert told == {(rule["alert"], fires) for group in _groups() for rule in group["rules"] for fires in (True, False)}
