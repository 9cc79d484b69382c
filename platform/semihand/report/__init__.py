"""Figures and the page of a round: arrays in, matplotlib figures and HTML text out; nothing is written."""

from semihand.report.campaign_figures import bone_lengths_figure, round_progress, threshold_search_figure
from semihand.report.curves import loss_curves, pck_curve, reliability_figure, risk_coverage_curve
from semihand.report.movement import movement_grid
from semihand.report.overlays import draw_hand, overlay_grid
from semihand.report.page import html_table, round_page

__all__ = [
    "bone_lengths_figure",
    "draw_hand",
    "html_table",
    "loss_curves",
    "movement_grid",
    "overlay_grid",
    "pck_curve",
    "reliability_figure",
    "risk_coverage_curve",
    "round_page",
    "round_progress",
    "threshold_search_figure",
]
