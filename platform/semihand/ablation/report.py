"""The report of an ablation: `summary.json`, `table.md` and `ablation.png` of all rows that are finished."""

from typing import Any, NamedTuple

from matplotlib.figure import Figure

from semihand.ablation.config import AblationConfig
from semihand.ablation.figure import ablation_figure
from semihand.ablation.results import ResultFolder, write_json
from semihand.ablation.summary import summarise
from semihand.ablation.table import markdown


class Report(NamedTuple):
    """What the finished rows amount to."""

    summary: dict[str, Any]
    table: str  # Markdown
    figure: Figure | None  # None while no row is finished


def write_report(config: AblationConfig) -> Report:
    """Write the report of every row that was run by its present plan, on the domains and seeds asked for."""
    plans = config.all_plans()
    results = ResultFolder(config.campaign)
    figures = results.read(config.cells(plans))
    summary = summarise(results, figures, plans, config.compared_with())
    report = Report(summary, markdown(summary), ablation_figure(summary) if summary["rows"] else None)
    write_json(config.campaign / "summary.json", summary)
    (config.campaign / "table.md").write_text(report.table + "\n")
    if report.figure is not None:
        report.figure.savefig(config.campaign / "ablation.png", dpi=150, metadata={"Software": None})
    return report
