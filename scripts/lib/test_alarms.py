"""Tests of the alarms of template.yaml by a model of CloudWatch: when they go off, and when they do not.

The model has the functions that the alarms use: sums of a period that ends now, `FILL`, `IF` and comparisons, M of N datapoints, and the
treatments of missing data. Series are values by minute; a metric without a value in a period has no datapoint, as in CloudWatch.
"""

from __future__ import annotations

import re
import unittest
from typing import Any, Mapping, Optional

from .test_template import RESOURCES, code

Series = Mapping[int, float]
"""The values of a metric, by minute."""

_RANGE = 5
"""Datapoints beyond those of the evaluation for which `FILL` still finds a value, as in CloudWatch, whose number is not documented."""


class Model:
    """One alarm, fed with the series of its metrics by the names of these."""

    def __init__(self, name: str, series: Mapping[str, Series], beyond: int = _RANGE):
        self.alarm: Mapping[str, Any] = RESOURCES[name]["Properties"]
        self.series, self.beyond = series, beyond
        self.state = "INSUFFICIENT_DATA"

    def run(self, minutes: range) -> list[tuple[int, str]]:
        """The changes of state, each with its minute."""
        changes = []
        for now in minutes:
            before = self.state
            self.state = self._evaluate(now)
            if self.state != before:
                changes.append((now, self.state))
        return changes

    def _evaluate(self, now: int) -> str:
        wanted = self.alarm["EvaluationPeriods"]
        needed = self.alarm.get("DatapointsToAlarm", wanted)
        points = self._points(now, wanted)
        missing = self.alarm["TreatMissingData"]
        if missing == "ignore" and all(point is None for point in points):
            return self.state
        breaching = {"GreaterThanThreshold": float.__gt__, "GreaterThanOrEqualToThreshold": float.__ge__}
        compare = {**breaching, "LessThanThreshold": float.__lt__}[self.alarm["ComparisonOperator"]]
        threshold = float(self.alarm["Threshold"])
        bad = sum(missing == "breaching" if p is None else compare(float(p), threshold) for p in points)
        return "ALARM" if bad >= needed else "OK"

    def _points(self, now: int, wanted: int) -> list[Optional[float]]:
        if "Metrics" not in self.alarm:
            period = self.alarm["Period"] // 60
            return [self._sum(self.alarm["MetricName"], now - n * period, period) for n in range(wanted)]
        metrics = {one["Id"]: one for one in self.alarm["Metrics"]}
        (expression,) = [one["Expression"] for one in metrics.values() if one.get("ReturnData", True)]
        stats = {name: one["MetricStat"] for name, one in metrics.items() if "MetricStat" in one}
        (period,) = {stat["Period"] // 60 for stat in stats.values()}
        sums = {
            name: [self._sum(stat["Metric"]["MetricName"], now - n * period, period) for n in range(wanted + self.beyond)]
            for name, stat in stats.items()
        }
        return [_value(expression, n, sums) for n in range(wanted)]

    def _sum(self, metric: str, end: int, minutes: int) -> Optional[float]:
        values = [value for at, value in self.series.get(metric, {}).items() if end - minutes < at <= end]
        return float(sum(values)) if values else None


def _value(expression: str, n: int, sums: Mapping[str, list[Optional[float]]]) -> Optional[float]:
    """The value of an expression `n` periods ago; none where CloudWatch gives no datapoint."""
    point = {name: values[n] for name, values in sums.items()}

    def fill(name: str, value: float) -> Optional[float]:
        # Only where no metric of the expression has a datapoint is there nothing to fill.
        known = any(p is not None for values in sums.values() for p in values)
        return value if point[name] is None and known else point[name]

    def running(name: str) -> float:
        return sum(value or 0 for value in sums[name][n:])

    text = re.sub(r"RUNNING_SUM\(FILL\((\w+), 0\)\)", r"running('\1')", expression)
    text = re.sub(r"FILL\((\w+), (\d+)\)", r"fill('\1', \2)", text)
    text = re.sub(r"\bIF\(", "choose(", text).replace(" AND ", " and ")
    known = {"fill": fill, "running": running, "choose": lambda test, yes, no: yes if test else no, **point}
    try:
        return None if all(p is None for values in sums.values() for p in values) else eval(text, known)  # noqa: S307
    except (TypeError, ZeroDivisionError):
        return None


def every(minutes: int, value: float, end: int, begin: int = 0) -> dict[int, float]:
    return {at: value for at in range(begin, end, minutes)}


class Quiet(unittest.TestCase):
    def test_quiet_registry_that_answers_only_5xx_alarms_within_15_minutes(self) -> None:
        for pause in (1, 3, 5, 14):
            good, begin = every(pause, 1, 120), 121
            bad = every(pause, 1, 240, begin)
            series = {"Count": {**good, **bad}, "5xx": {**every(pause, 0, 120), **bad}}
            changes = Model("OnlyServerErrors", series).run(range(60, 240))
            self.assertEqual(changes[0], (60, "OK"), pause)
            self.assertEqual(changes[1][1], "ALARM", pause)
            self.assertLessEqual(changes[1][0], begin + 15 + pause, pause)
            self.assertEqual(len(changes), 2, f"{pause}: it lasts: {changes}")

    def test_one_error_among_good_answers_alarms_nobody(self) -> None:
        series = {"Count": every(2, 1, 240), "5xx": {100: 1}}
        for name in ("OnlyServerErrors", "ServerErrors"):
            self.assertEqual(Model(name, series).run(range(60, 240)), [(60, "OK")], name)

    def test_nobody_asks_and_nothing_alarms(self) -> None:
        for name in ("OnlyServerErrors", "ServerErrors", "ServeFailing"):
            self.assertEqual(Model(name, {}).run(range(60)), [(0, "OK")], name)


class Busy(unittest.TestCase):
    def test_two_answers_in_a_hundred_that_are_5xx_alarm_within_five_minutes(self) -> None:
        series = {"Count": every(1, 100, 240), "5xx": every(1, 2, 240, 100)}
        self.assertEqual(Model("ServerErrors", series).run(range(60, 240))[:2], [(60, "OK"), (102, "ALARM")])

    def test_errors_and_time_outs_of_serve_alarm_and_a_single_one_does_not(self) -> None:
        self.assertEqual(Model("ServeFailing", {"Errors": {100: 1}}).run(range(60, 240)), [(60, "OK")])
        changes = Model("ServeFailing", {"Errors": every(2, 1, 240, 100)}).run(range(60, 240))
        self.assertEqual([state for _, state in changes], ["OK", "ALARM"])
        self.assertLessEqual(changes[1][0], 115)


class Silence(unittest.TestCase):
    def test_new_stack_is_not_silent_until_its_schedule_was_heard(self) -> None:
        for beyond in (0, 2, 5):
            self.assertEqual(Model("RefreshSilent", {}, beyond).run(range(120)), [], beyond)
            series = {"Invocations": every(5, 1, 120, 20)}
            self.assertEqual(Model("RefreshSilent", series, beyond).run(range(120))[0][1], "OK", beyond)

    def test_schedule_that_ends_alarms_and_stays_so_until_it_is_back(self) -> None:
        for beyond in (0, 2, 5):
            series = {"Invocations": {**every(5, 1, 101), **every(5, 1, 400, 300)}}
            changes = Model("RefreshSilent", series, beyond).run(range(60, 400))
            self.assertEqual([state for _, state in changes], ["OK", "ALARM", "OK"], (beyond, changes))
            self.assertTrue(111 <= changes[1][0] <= 120, (beyond, changes))
            self.assertTrue(300 <= changes[2][0] <= 310, (beyond, changes))

    def test_late_invocation_alarms_nobody(self) -> None:
        series = {"Invocations": {at: 1 for at in range(0, 240, 5) if at % 15}}
        self.assertEqual(Model("RefreshSilent", series).run(range(60, 240)), [(60, "OK")])


class Costs(unittest.TestCase):
    def test_page_counts_the_metrics_that_alarms_are_charged_for(self) -> None:
        alarms = [one["Properties"] for one in RESOURCES.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
        charged = sum(max(1, sum("MetricStat" in metric for metric in alarm.get("Metrics", []))) for alarm in alarms)
        self.assertIn(f"{charged} alarmed metrics ({charged / 10:.2f})", code("docs/operators/operate.md"))
        self.assertIn(f"{len(alarms)} alarms and one dashboard", code("docs/operators/deploy-on-aws.md"))


class Apart(unittest.TestCase):
    def test_every_alarm_is_of_this_stack_alone(self) -> None:
        for name, resource in RESOURCES.items():
            if resource["Type"] != "AWS::CloudWatch::Alarm":
                continue
            alarm = resource["Properties"]
            stats = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", []) if "MetricStat" in one] or [alarm]
            for metric in stats:
                owners = [d["Value"] for d in metric["Dimensions"] if d["Name"] in ("FunctionName", "ApiId", "QueueName")]
                self.assertEqual(len(owners), 1, f"{name}: staging would page production")
                self.assertTrue({"Ref", "Fn::GetAtt"} & set(owners[0]), name)
