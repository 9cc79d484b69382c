"""ablation/: what the results amount to, as summary, table and figure."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from semihand.ablation.config import AblationConfig
from semihand.ablation.figure import ablation_figure
from semihand.ablation.plans import Cell, Plan
from semihand.ablation.report import write_report
from semihand.ablation.results import ResultFolder, RowResult, write_json
from semihand.ablation.run import run_ablation
from semihand.ablation.summary import paired_gain, summarise, training_noise_mm
from semihand.ablation.table import markdown

PLAN = '{"of": 1}'
GAP = {"source_only": 20.0, "semihand": 16.0, "better": 14.0, "ceiling": 10.0}


def plan(kind: str = "method") -> Plan:
    return Plan.model_validate({"about": "what it is", "learns_from": "labels", "kind": kind})


ROWS = {name: plan() for name in ("semihand", "all_additions")}


def write(results: ResultFolder, cell: Cell, epe_mm: float, plan: str = PLAN, **more: float) -> None:
    """A result whose frames scatter alike in all rows."""
    spread = np.random.default_rng(0).normal(0, 3, 200)
    frames = pl.DataFrame({"frame_id": [f"{i:04d}" for i in range(200)], "error_mm": epe_mm + spread})
    results.write(
        cell, plan, RowResult({"epe_mm": epe_mm, "uv_px": 1.0, **more}, frames, Path("model"), Path("models/start"))
    )


def filled(folder: Path, errors_mm: dict[str, float]) -> tuple[ResultFolder, pl.DataFrame]:
    """Two domains and seeds; the second domain's errors are doubled, a seed's frames add the same to all rows."""
    results = ResultFolder(folder)
    cells = [Cell(row, domain, seed) for row in errors_mm for domain in ("a", "b") for seed in (1, 2)]
    for cell in cells:
        write(results, cell, {"a": 1, "b": 2}[cell.domain] * (errors_mm[cell.row] + 0.5 * cell.seed))
    return results, results.read(dict.fromkeys(cells, PLAN))


def test_gap_closed_and_paired_gain_are_what_the_numbers_say(tmp_path: Path):
    results, figures = filled(tmp_path, GAP)
    plans = {name: plan("addition" if name == "better" else "method") for name in (*GAP, "all_additions")}
    summary = summarise(results, figures, plans, {"better": "semihand"})
    rows = {row["name"]: row for row in summary["rows"]}
    assert [rows[name]["gap_closed"] for name in GAP] == pytest.approx([0.0, 0.4, 0.6, 1.0])
    assert rows["semihand"]["epe_mm"] == pytest.approx(1.5 * 16.75)
    assert rows["semihand"]["epe_mm_spread"] == pytest.approx(1.5 * 0.5 * np.sqrt(0.5))
    assert rows["semihand"]["gap_closed_spread"] == pytest.approx(0.0)
    assert [(run["domain"], run["seed"]) for run in rows["better"]["runs"]] == [
        ("a", 1), ("a", 2), ("b", 1), ("b", 2)
    ]  # fmt: skip
    assert summary["domains"]["b"]["ratio"] == pytest.approx(20.75 / 10.75)
    assert rows["better"]["gain"]["b"]["mean_mm"] == pytest.approx(4.0)
    assert rows["better"]["on_by_default"]
    assert "gain" not in rows["semihand"]
    assert summary["commits"] == {rows["semihand"]["runs"][0]["commit"]: 16}
    assert summary["starts"] == {"start": 16}
    assert "not the same" not in markdown(summary)
    mixed = figures.with_columns(start=pl.when(pl.col("seed") == 1).then(pl.lit("other")).otherwise("start"))
    told = markdown(summarise(results, mixed, plans, {"better": "semihand"}))
    assert "The pre-trained weights were not the same for all results: 8 by " in told
    table = markdown(summary)
    assert "| better | semihand | +2.00 ± 0.00 (0.00) | +4.00 ± 0.00 (0.00) | yes | yes |" in table
    assert "| semihand: what it is | 25.12 ± 0.53 | 40 ± 0 % |" in table
    assert "Off: none." in table


def test_an_addition_that_gains_nothing_clear_is_off_and_the_table_says_so(tmp_path: Path):
    results, figures = filled(tmp_path, {"semihand": 16.0, "same": 16.0})
    gain = paired_gain(results, figures, ("same", "semihand"), "a")
    assert gain is not None
    assert (gain["mean_mm"], gain["num_frames"], gain["num_seeds"]) == (0.0, 400, 2)
    summary = summarise(results, figures, {"same": plan("addition")} | ROWS, {"same": "semihand"})
    assert not summary["rows"][0]["on_by_default"]
    assert "Off: same." in markdown(summary)
    assert paired_gain(results, figures, ("same", "never run"), "a") is None


def test_training_noise_is_what_is_left_of_seeds_after_what_they_do_to_all_rows():
    rng, sigma_mm = np.random.default_rng(3), 0.8
    rows = [{"row": f"{row}", "domain": "a", "seed": seed, "epe_mm": 20 + row + 5 * seed + sigma_mm * rng.normal()}
            for row in range(400) for seed in (1, 2, 3)]  # fmt: skip
    rows += [{"row": "run once", "domain": "a", "seed": 1, "epe_mm": 900.0}]
    figures = pl.DataFrame(rows)
    assert training_noise_mm(figures, "a") == pytest.approx(sigma_mm, rel=0.1)
    assert training_noise_mm(figures.filter(seed=1), "a") is None
    assert training_noise_mm(figures.filter(row="1"), "a") is None


def test_a_gain_shows_the_noise_of_as_many_seeds_as_it_has(tmp_path: Path):
    results = ResultFolder(tmp_path)
    errors_mm = {"semihand": (16.0, 17.0), "corrected_selected": (18.0, 18.0), "better": (15.0,)}
    cells = {Cell(row, "a", seed): error for row, errors in errors_mm.items() for seed, error in enumerate(errors)}
    for cell, error in cells.items():
        write(results, cell, error)
    figures = results.read(dict.fromkeys(cells, PLAN))
    summary = summarise(results, figures, {"better": plan("addition")} | ROWS, {"better": "semihand"})
    assert summary["domains"]["a"]["training_noise_mm"] == pytest.approx(0.5)
    assert summary["rows"][0]["gain"]["a"]["training_noise_mm"] == pytest.approx(0.5 * np.sqrt(2))
    assert "+1.00 ± 0.00 (0.71)" in markdown(summary)
    alone = figures.filter(seed=0)
    assert "(unknown)" in markdown(
        summarise(results, alone, {"better": plan("addition")} | ROWS, {"better": "semihand"})
    )


def test_a_result_counts_for_the_plan_domain_and_seed_it_was_run_by(tmp_path: Path):
    results, _ = filled(tmp_path, {"semihand": 16.0})
    cell = Cell("semihand", "a", 1)
    assert results.is_done(cell, PLAN)
    assert not results.is_done(cell, '{"of": 2}')
    assert not results.is_done(cell._replace(seed=3), PLAN)
    found = results.read({cell: PLAN, cell._replace(seed=2): '{"of": 2}', cell._replace(domain="c"): PLAN})
    assert found.select("domain", "seed").rows() == [("a", 1)]


def test_no_result_is_a_table_that_says_so(tmp_path: Path):
    config = AblationConfig(campaign=tmp_path, budget_minutes=0)
    said: list[str] = []
    assert len(run_ablation(config, said.append)) == len(config.cells(config.plans()))
    assert not (tmp_path / "sets").exists()
    report = write_report(config)
    assert (report.summary, report.figure) == ({"rows": [], "domains": {}, "commits": {}, "starts": {}}, None)
    assert (tmp_path / "table.md").read_text() == "No row is finished.\n"


def test_the_report_is_of_the_present_plans_and_seeds_alone(tmp_path: Path):
    config = AblationConfig(campaign=tmp_path, rows=["ceiling"], domains=["target_sensor", "target_view"], seeds=1)
    results, other = ResultFolder(tmp_path), config.model_copy(update={"rounds": 5})
    plans = config.all_plans()
    for row in ("source_only", "semihand", "ceiling"):
        for cell, text in config.cells({row: plans[row]}).items():
            write(results, cell, GAP[row])
            write(results, cell, GAP[row], text, acceptance=0.5)
            write(results, cell._replace(seed=7), 99.0, text)
    for cell, text in other.cells({"random_selection": plans["random_selection"]}).items():
        write(results, cell, 1.0, text)
    report = write_report(config)
    assert {row["name"]: row["epe_mm"] for row in report.summary["rows"]} == {name: GAP[name] for name in GAP
                                                                              if name != "better"}  # fmt: skip
    assert json.loads((tmp_path / "summary.json").read_text()) == report.summary
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_is_missing_is_left_blank_and_none_is_not_a_number(tmp_path: Path):
    results, cells = ResultFolder(tmp_path), [Cell("semihand", "a", seed) for seed in (1, 2)]
    write(results, cells[0], 16.0, selected_label_mm=9.0)
    write(results, cells[1], 17.0)
    summary = summarise(results, results.read(dict.fromkeys(cells, PLAN)), {"semihand": plan()}, {})
    assert (summary["rows"][0]["selected_label_mm"], summary["rows"][0]["gap_closed"]) == (9.0, None)
    assert "nan" not in markdown(summary)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"epe_mm": float("nan")})


def test_the_figure_shows_every_run_in_the_tables_order(tmp_path: Path):
    results, figures = filled(tmp_path, GAP)
    figure = ablation_figure(summarise(results, figures, {name: plan() for name in GAP}, {}))
    panels = figure.get_axes()
    assert [axes.get_title("left") for axes in panels] == ["a", "b"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == list(GAP)
    low, high = panels[0].get_ylim()
    assert low > high
    points = [line for line in panels[1].get_lines() if line.get_marker() == "o"]
    drawn = np.concatenate([np.column_stack(line.get_data()) for line in points]).tolist()
    wanted = [[2 * (GAP[row] + 0.5 * seed), place] for place, row in enumerate(GAP) for seed in (1, 2)]
    np.testing.assert_allclose(sorted(drawn), sorted(wanted))
