"""Write Grafana's dashboards from the registry of metrics, or check that they are up to date.

    .venv/bin/python infra/dashboards/make_dashboards.py            write infra/dashboards/*.json
    .venv/bin/python infra/dashboards/make_dashboards.py --check    exit 1 and name each that differs

A dashboard is a list of rows, and a row a list of metrics. What a panel asks follows from the kind of its metric, its
text is the metric's own, and Grafana's own library (grafana-foundation-sdk) writes the JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, text, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from prometheus_client import Counter, Gauge, Histogram

from nightlight import metrics

HERE = Path(__file__).parent
# Told by the file of `nightlight lifecycle drift --metrics`: no process of ours has it.
DRIFT = "nightlight_lifecycle_drift"
_NOTE = (
    "What counts people or pictures is told in tens, rounded down, and below ten not at all: small numbers are no "
    "fault. docs/operations/alerts.md says what each alert means."
)
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH, _HEIGHT = 8, 7  # a third of Grafana's 24 columns


class DashboardPlan(NamedTuple):
    """A dashboard: its title, and its rows: a title, and the metrics in it."""

    title: str
    rows: Sequence[tuple[str, Sequence[Counter | Gauge | Histogram | str]]]


M = metrics
DASHBOARDS = {
    "overview": DashboardPlan(
        "Nightlight: overview",
        (
            ("What waits", (M.WAITING_SECONDS, M.WAITING, M.RECONCILED)),
            ("The way to the workers", (M.PUBLISHED, M.PUBLISH_FAILURES, M.RENDERS)),
            ("The way to viewers", (M.DELIVERIES, M.EDGE_LIST_MOMENT, M.EDGE_LISTS)),
            ("The platform", (M.UPLOADS, M.DECISIONS)),
            ("Webhooks", (M.EVENTS, M.WEBHOOKS_FAILING_SECONDS, M.WEBHOOKS_DISABLED)),
            ("Requests", (M.REQUESTS, M.REQUEST_SECONDS, M.REQUEST_FAILURES)),
            (
                "What Nightlight depends on",
                (M.DEPENDENCY_SECONDS, M.DEPENDENCY_FAILURES, M.FEED_MOMENT, M.CATALOGUE_RESTORED),
            ),
            ("What runs", (M.BUILD,)),
            ("What somebody must do", (M.ERASURES_OVERDUE, M.TAKEDOWNS_OVERDUE, M.HOLDS_DUE)),
        ),
    ),
    "pictures": DashboardPlan(
        "Nightlight: pictures",
        (
            ("Uploads", (M.UPLOADS, M.RENDERS, M.RENDER_SECONDS)),
            ("Where the time goes", (M.STAGE_SECONDS, M.DECODERS_DIED, M.FACE_DETECTOR_FAILURES)),
            ("Watermarks and manifests", (M.UNREADABLE_WATERMARKS, M.MANIFESTS_REFUSED, M.CERTIFICATE_DAYS)),
            ("Time stamps, and pictures again", (M.STAMPS_MISSED, M.RERENDERS, M.RERENDER_WAITING)),
            ("Other buckets", (M.IMPORTS, M.IMPORT_NOTIFICATIONS, DRIFT)),
        ),
    ),
    "decisions": DashboardPlan(
        "Nightlight: decisions",
        (
            ("Decisions", (M.DECISIONS, M.UNKNOWN_WORDS, M.POLICY_REFUSED)),
            ("Relations", (M.UNPROVED, M.PROVIDER_FAILURES, M.ABUSE_SIGNALS)),
            ("Pictures given out", (M.DELIVERIES, M.REVOCATIONS, M.LAPSED)),
        ),
    ),
    "safety": DashboardPlan(
        "Nightlight: safety",
        (
            ("Erasures", (M.ERASURES_OVERDUE, M.ERASURE_KEYS_LOST, M.SWEPT)),
            ("Takedown notices", (M.TAKEDOWNS, M.TAKEDOWN_FAILURES, M.TAKEDOWNS_OVERDUE)),
            ("Hash lists", (M.HASH_LISTS_UNCONFIRMED, M.HASH_LIST_MATCHES, M.NOT_SCREENED)),
            ("Holds, leaks and scrapers", (M.HOLDS_DUE, M.TRACES, M.ABUSE_SIGNALS)),
        ),
    ),
}


def queries(metric: Counter | Gauge | Histogram | str) -> list[tuple[str, str]]:
    """Return what a panel asks for a metric: PromQL, and the legend. Instances are added up, or the worst counts."""
    if isinstance(metric, str):
        return [(f"max by (bucket) ({metric})", "{{bucket}}")]
    name, words = str(metric._name), metric._labelnames  # noqa: SLF001 - the library has no other way to ask
    by, legend = (f" by ({', '.join(words)})", " ".join(f"{{{{{word}}}}}" for word in words)) if words else ("", "all")
    if isinstance(metric, Counter):
        return [(f"sum{by} (rate({name}_total[$__rate_interval]))", legend)]
    if isinstance(metric, Histogram):
        inner = f"sum by ({', '.join(['le', *words])}) (rate({name}_bucket[$__rate_interval]))"
        parts = (("0.5", "median"), ("0.95", "95 %"))
        return [
            (f"histogram_quantile({share}, {inner})", f"{legend} {what}".removeprefix("all ")) for share, what in parts
        ]
    worst = "min" if metric is metrics.CERTIFICATE_DAYS else "max"
    if name.endswith("_moment_seconds"):
        return [(f"time() - max{by} ({name})", legend)]
    return [(f"{worst}{by} ({name})", legend)]


def _unit(metric: Counter | Gauge | Histogram | str) -> str:
    if isinstance(metric, Counter):
        return "cps"
    name = metric if isinstance(metric, str) else str(metric._name)  # noqa: SLF001 - as above
    return "s" if name.endswith("_seconds") else "d" if name.endswith("_days") else "short"


def _panel(metric: Counter | Gauge | Histogram | str, number: int) -> timeseries.Panel:
    name = metric if isinstance(metric, str) else str(metric._name)  # noqa: SLF001 - as above
    description = "Rules of a bucket that differ from what was applied."
    if not isinstance(metric, str):
        description = metric._documentation  # noqa: SLF001 - as above
    panel = (
        timeseries.Panel()
        .id(number)
        .title(name.removeprefix("nightlight_").replace("_", " "))
        .description(description)
        .datasource(_SOURCE)
        .unit(_unit(metric))
        .min(0)
        .span(_WIDTH)
        .height(_HEIGHT)
        .legend(common.VizLegendOptions().show_legend(True))
    )
    for letter, (expression, legend) in zip("ABC", queries(metric), strict=False):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter)
        panel = panel.with_target(query.datasource(_SOURCE))
    return panel


def rendered(name: str) -> str:
    """Return a dashboard as Grafana imports it."""
    plan = DASHBOARDS[name]
    builder = (
        dashboard.Dashboard(plan.title)
        .uid(f"nightlight-{name}")
        .tags(["nightlight"])
        .refresh("1m")
        .time("now-6h", "now")
        .timezone("utc")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_panel(text.Panel().id(1).title("").content(_NOTE).span(24).height(2).transparent(True))
    )
    numbers = count(2)
    for title, row in plan.rows:
        builder = builder.with_row(dashboard.Row(title).id(next(numbers)))
        for metric in row:
            builder = builder.with_panel(_panel(metric, next(numbers)))
    return JSONEncoder(sort_keys=True, indent=1).encode(builder.build()) + "\n"


def main() -> int:
    """Write them, or say which is not as it would be written."""
    status = 0
    for name in DASHBOARDS:
        path, content = HERE / f"{name}.json", rendered(name)
        if "--check" not in sys.argv[1:]:
            path.write_text(content, "utf-8")
        elif not path.exists() or path.read_text("utf-8") != content:
            sys.stderr.write(f"{path.name} is not up to date: run infra/dashboards/make_dashboards.py\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
