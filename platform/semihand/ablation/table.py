"""The table of an ablation, for people: rows, domains, and which additions are on."""

from collections.abc import Iterator, Mapping
from typing import Any

from semihand.ablation.summary import ALL, BEST, FIGURES, FIRST

_HEADINGS = {
    "epe_mm": "EPE mm",
    "gap_closed": "gap closed",
    "uv_px": "2D px",
    "auc_20_50": "AUC 20-50",
    "pa_epe_mm": "PA mm",
    "raw_label_mm": "labels before correction mm",
    "corrected_label_mm": "after correction mm",
    "label_mm": "as learnt mm",
    "selected_label_mm": "selected mm",
    "acceptance": "accepted",
    "expected_spearman": "rank correlation of expected error",
}
_CONVENTIONS = (
    "Unseen target frames, mean ± standard deviation over seeds. EPE and labels: root (middle MCP) and scale known; "
    "2D in px of the picture; PA after Procrustes; AUC of 3D PCK over 21.05-50 mm, the paper's 20-50; labels of the "
    "last round; gap closed: share of source only → ceiling in EPE. A row's means are over its own runs: "
    "compare rows of fewer runs by their gains below, which are paired."
)
_RULE = (
    "On by default: gain above 2 standard errors over frames on at least two domains. The standard error knows one "
    "training per seed; training noise is the standard deviation that a gain has from training alone, estimated "
    "from the rows with several seeds. A gain below the training noise is no proof."
)


def markdown(summary: Mapping[str, Any]) -> str:
    """The table of the rows, the shifts of the domains, and which additions are on."""
    if not summary["rows"]:
        return "No row is finished."
    parts = [_rows(summary["rows"]), [_CONVENTIONS], _domains(summary["domains"])]
    for name, said in (("commits", "The code was not the same for all results"),
                       ("starts", "The pre-trained weights were not the same for all results")):  # fmt: skip
        if len(summary[name]) > 1:
            parts.append([f"{said}: {', '.join(f'{count} by {each}' for each, count in summary[name].items())}."])
    additions = [row for row in summary["rows"] if row.get("gain")]
    if additions:
        off = [row["name"] for row in additions if not row["on_by_default"]]
        parts += [list(_additions(additions)), [f"{_RULE} Off: {', '.join(off) or 'none'}."]]
    return "\n\n".join("\n".join(part) for part in parts)


def _rows(rows: list[dict[str, Any]]) -> list[str]:
    names = [name for name in FIGURES if any(row.get(name) is not None for row in rows)]
    lines = _head("row", *(_HEADINGS[name] for name in names), "runs")
    for row in rows:
        cells = [_cell(name, row.get(name), row.get(f"{name}_spread")) for name in names]
        lines.append(_line(f"{row['name']}: {row['about']}", *cells, str(row["num_runs"])))
    return lines


def _domains(domains: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    lines = _head("domain", "source only mm", "ceiling mm", "ratio", "training noise of a row mm")
    for domain, ends in domains.items():
        lines.append(_line(domain, *(_cell("", ends[key]) for key in (FIRST, BEST, "ratio", "training_noise_mm"))))
    return lines


def _additions(rows: list[dict[str, Any]]) -> Iterator[str]:
    domains = sorted({domain for row in rows for domain in row["gain"]})
    gains = (f"{domain}: gain ± SE mm (training noise)" for domain in domains)
    yield from _head("addition", "compared with", *gains, "on by default", f"in `{ALL}`")
    for row in rows:
        cells = [_gain(row["gain"].get(domain)) for domain in domains]
        answers = ("yes" if row[name] else "no" for name in ("on_by_default", "in_all_additions"))
        yield _line(row["name"], row["compared_with"], *cells, *answers)


def _gain(gain: Mapping[str, float | None] | None) -> str:
    if gain is None:
        return ""
    noise = "unknown" if gain["training_noise_mm"] is None else f"{gain['training_noise_mm']:.2f}"
    return f"{gain['mean_mm']:+.2f} ± {gain['standard_error_mm']:.2f} ({noise})"


def _cell(name: str, value: float | None, spread: float | None = None) -> str:
    if value is None:
        return ""
    scale, digits, unit = 1, 2, ""
    if name in ("gap_closed", "acceptance"):
        scale, digits, unit = 100, 0, " %"
    elif name.startswith("auc"):
        digits = 3
    shown = f"{scale * value:.{digits}f}"
    return shown + unit if spread is None else f"{shown} ± {scale * spread:.{digits}f}{unit}"


def _head(*names: str) -> list[str]:
    return [_line(*names), "|---" * len(names) + "|"]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
