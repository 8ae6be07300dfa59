"""The reference page of metrics, from their declarations.

`python -m shipway.monitoring.reference docs` writes docs/reference/metrics.md anew.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shipway.monitoring.declarations import Label, Metric
from shipway.monitoring.metrics import TABLE

_HEAD = """# Metrics

<!-- Generated from the code by `python -m shipway.monitoring.reference docs`; edit src/shipway/monitoring/metrics.py. -->

`GET /metrics` on the admin listener gives these, in Prometheus's text format or in OpenMetrics, as the scraper accepts.

Labels take values of closed sets; anything else is counted as `other`. A metric has at most 1,000 combinations of label
values; further ones are counted together, with `other` in every label. A label that does not apply is absent.
"""


def reference_markdown() -> str:
    """The page's text."""
    parts = [_HEAD]
    for heading, metrics in TABLE:
        parts += [f"## {heading}\n", "| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|"]
        parts += [_row(metric) for metric in metrics]
        parts.append("")
    parts += ["## Buckets\n", "| histogram | upper bounds |\n|---|---|", *_bucket_rows(), ""]
    parts += ["## Labels\n", "| label | values | meaning |\n|---|---|---|", *_label_rows()]
    return "\n".join(parts) + "\n"


def _metrics() -> Iterator[Metric[Any]]:
    for _, metrics in TABLE:
        yield from metrics


def _row(metric: Metric[Any]) -> str:
    labels = ", ".join(f"`{label.name}`" for label in metric.labels)
    kind = "gauge" if metric.kind == "info" else metric.kind
    return f"| `{metric.name}` | {kind} | {metric.unit} | {labels} | {metric.help} |"


def _bucket_rows() -> Iterator[str]:
    for metric in _metrics():
        if metric.bounds:
            yield f"| `{metric.name}` | {', '.join(_plain(bound) for bound in metric.bounds)} |"


def _plain(bound: float) -> str:
    """Without an exponent, which nobody reads in a table."""
    return f"{bound:.5f}".rstrip("0").rstrip(".")


def _label_rows() -> Iterator[str]:
    labels: dict[Label, None] = {label: None for metric in _metrics() for label in metric.labels}
    for label in labels:
        values = "from the app file" if label.values is None else ", ".join(f"`{value}`" for value in label.values)
        yield f"| `{label.name}` | {values} | {label.help} |"


def write(docs: Path) -> None:
    """Write the page into the folder *docs*."""
    (docs / "reference" / "metrics.md").write_text(reference_markdown(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
