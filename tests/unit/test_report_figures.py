"""What the figures show is what the arrays say: read back from the drawn artists."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from semihand.hand.skeleton import FINGERS
from semihand.report import (
    bone_lengths_figure,
    loss_curves,
    movement_grid,
    overlay_grid,
    pck_curve,
    reliability_figure,
    risk_coverage_curve,
    round_progress,
    threshold_search_figure,
)
from semihand.report.overlays import FINGER_COLOURS

RNG = np.random.default_rng(5)


def made_up_hands(num: int, size_px: int = 64) -> np.ndarray:
    return RNG.uniform(0.1 * size_px, 0.9 * size_px, (num, 21, 2))


def made_up_pictures(num: int) -> list[np.ndarray]:
    return [RNG.integers(0, 256, (40 + 3 * row, 64, 3), dtype=np.uint8) for row in range(num)]


def line_named(figure: Figure, start: str):
    axes = figure.axes[0]
    return next(line for line in axes.lines if str(line.get_label()).startswith(start))


def legend_texts(figure: Figure) -> list[str]:
    legends = [axes.get_legend() for axes in figure.axes] + list(figure.legends)
    return [text.get_text() for legend in legends if legend is not None for text in legend.get_texts()]


def test_every_finger_is_drawn_from_the_wrist_through_its_own_joints_in_its_own_colour():
    joints = made_up_hands(1)
    axes = overlay_grid(made_up_pictures(1), joints, ["one"]).axes[0]
    drawn = {to_hex(line.get_color()).upper(): line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 5}
    assert set(drawn) == set(FINGER_COLOURS.values())
    for finger, chain in FINGERS.items():
        np.testing.assert_allclose(drawn[FINGER_COLOURS[finger]], joints[0, [0, *chain]])


def test_pictures_fill_their_axes_with_pixel_centres_on_whole_numbers():
    picture = made_up_pictures(3)[2]
    axes = overlay_grid([picture], made_up_hands(1), ["x"]).axes[0]
    assert axes.get_xlim() == (-0.5, 63.5)
    assert axes.get_ylim() == (45.5, -0.5)
    assert axes.images[0].get_extent() == [-0.5, 63.5, 45.5, -0.5]


@pytest.mark.parametrize("grid", [overlay_grid, movement_grid])
def test_a_view_shows_its_part_of_the_picture_alone(grid):
    hands = made_up_hands(2)
    between = [["x", "y"]] if grid is overlay_grid else [hands, ["x", "y"]]
    cut, whole = grid(made_up_pictures(2), hands, *between, views_px=[(10.0, 5.0, 20.0, 30.0), None]).axes[:2]
    assert (cut.get_xlim(), cut.get_ylim()) == ((9.5, 29.5), (34.5, 4.5))
    assert (whole.get_xlim(), whole.get_ylim()) == ((-0.5, 63.5), (42.5, -0.5))
    assert cut.images[0].get_extent() == [-0.5, 63.5, 39.5, -0.5]  # pixels stay where joints expect them


def test_a_grid_shows_every_picture_with_its_caption_and_the_hands_before():
    before, captions = made_up_hands(5), [f"frame {row}" for row in range(5)]
    figure = overlay_grid(made_up_pictures(5), made_up_hands(5), captions, before, columns=3)
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == captions
    dashed = [line for line in shown[4].lines if line.is_dashed()]
    np.testing.assert_allclose(dashed[0].get_xydata(), before[4, [0, *FINGERS["thumb"]]])
    assert "before" in legend_texts(figure)
    assert "before" not in legend_texts(overlay_grid(made_up_pictures(1), before[:1], ["x"]))


def test_joints_that_are_not_finite_are_left_out_and_the_picture_is_still_drawn():
    joints = made_up_hands(1)
    joints[0, 8] = np.nan
    overlay_grid(made_up_pictures(1), joints, ["x"]).savefig("/dev/null", format="png")


@pytest.mark.parametrize("num_captions", [0, 1, 3])
def test_an_overlay_wants_one_caption_for_each_picture(num_captions):
    with pytest.raises(ValueError, match="give at least one picture"):
        overlay_grid(made_up_pictures(2), made_up_hands(2), ["x"] * num_captions)


def test_the_share_of_joints_within_a_distance_is_that_of_the_finite_errors():
    errors = np.array([[1.0, 2.0, np.nan], [10.0, 60.0, 4.0]])
    line = line_named(pck_curve({"student": errors}), "student: mean 15.4 mm")
    thresholds, within = line.get_data()
    for distance, share in ((1.0, 0.2), (4.0, 0.6), (50.0, 0.8)):
        assert within[np.searchsorted(thresholds, distance)] == pytest.approx(share)


def test_a_series_without_any_finite_error_is_refused_by_name():
    with pytest.raises(ValueError, match="'teacher'"):
        pck_curve({"teacher": np.full((2, 21), np.nan)})


def test_losses_keep_their_points_and_use_a_logarithmic_axis_only_above_zero():
    figure = loss_curves({"pose": ([0, 5, 9], [3.0, 1.0, 0.5])})
    np.testing.assert_allclose(line_named(figure, "pose").get_xydata(), [(0, 3), (5, 1), (9, 0.5)])
    assert figure.axes[0].get_yscale() == "log"
    figure.canvas.draw()
    assert {"0.5", "1", "2"} <= {label.get_text() for label in figure.axes[0].get_yticklabels()}
    assert figure.axes[0].get_legend() is None  # it would hide curves
    assert figure.legends
    assert loss_curves({"a": ([0, 1], [1.0, 0.0])}).axes[0].get_yscale() == "linear"
    assert loss_curves({}).axes[0].get_yscale() == "linear"


def test_ordering_by_the_true_error_is_never_worse_and_all_orders_end_at_the_mean():
    errors = RNG.gamma(3, 4, 200)
    figure = risk_coverage_curve(errors, errors * RNG.gamma(5, 0.2, 200))
    predicted = line_named(figure, "by predicted error").get_ydata()
    best = line_named(figure, "by true error").get_ydata()
    assert (best <= predicted + 1e-9).all()
    assert predicted[-1] == pytest.approx(errors.mean())
    assert best[-1] == pytest.approx(errors.mean())


def test_predictions_that_are_right_lie_on_the_diagonal_of_the_reliability_figure():
    true = RNG.gamma(3, 4, 400)
    line = line_named(reliability_figure(true, true), "mean of a bin, 400 labels")
    np.testing.assert_allclose(line.get_xdata(), line.get_ydata())
    assert len(line.get_xdata()) == 10


def test_labels_without_a_prediction_do_not_count_and_none_at_all_is_refused():
    true, predicted = RNG.gamma(3, 4, 30), RNG.gamma(3, 4, 30)
    predicted[:10] = np.nan
    assert "mean of a bin, 20 labels" in legend_texts(reliability_figure(predicted, true))
    with pytest.raises(ValueError, match="of 30 labels none"):
        risk_coverage_curve(true, np.full(30, np.nan))


def test_bone_medians_before_and_after_are_those_of_the_labels():
    template = np.linspace(20, 60, 20)
    before = template + RNG.normal(4, 5, (80, 20))
    after = template + RNG.normal(0, 0.1, (80, 20))
    figure = bone_lengths_figure(before, after, template)
    np.testing.assert_allclose(line_named(figure, "before").get_ydata(), np.median(before, axis=0))
    np.testing.assert_allclose(line_named(figure, "after").get_ydata(), np.median(after, axis=0))
    assert "template" in legend_texts(figure)
    assert "mm" in figure.axes[0].get_ylabel()


def test_the_search_tells_allowed_trials_from_the_others_and_rings_the_chosen_one():
    figure = threshold_search_figure(np.array([4.0, 9.0, 12.0]), [100, 900, 2000], 10.0, chosen=1)
    assert line_named(figure, "allowed (2 trials)").get_xdata().tolist() == [4.0, 9.0]
    assert line_named(figure, "too wrong (1 trials)").get_ydata().tolist() == [2000.0]
    assert "chosen: 900 labels at 9.00 mm" in legend_texts(figure)


@pytest.mark.parametrize("errors", [[4.0, 9.0, 12.0], [2.0, 8.0, 9.0], [5.0, 5.0, 5.0]])
def test_the_ring_around_the_trial_that_keeps_most_is_not_cut(errors):
    figure = threshold_search_figure(np.array(errors), [1900, 1950, 2000], 15.0, chosen=2)
    figure.canvas.draw()
    ring = line_named(figure, f"chosen: 2,000 labels at {errors[2]:.2f} mm").get_window_extent()
    edge = figure.axes[0].get_window_extent()
    assert edge.x0 <= ring.x0 < ring.x1 <= edge.x1
    assert edge.y0 <= ring.y0 < ring.y1 <= edge.y1


def test_progress_shows_the_errors_there_are_and_stacks_every_frame_once():
    rounds = [
        {"round": 0, "labels": 0, "selected": 0, "quarantined": 0, "evaluation": {"epe_mm": 30.0}},
        {"round": 1, "labels": 90, "selected": 60, "quarantined": 10, "evaluation": None},
        {"round": 2, "labels": 95, "selected": 70, "quarantined": 5, "evaluation": {"epe_mm": 21.0}},
    ]
    figure = round_progress(rounds, source_only_mm=28.0)
    assert line_named(figure, "this campaign").get_xydata().tolist() == [[0, 30], [2, 21]]
    tops = [patch.get_y() + patch.get_height() for patch in figure.axes[1].patches]
    assert max(tops[1::3]) == 100
    assert max(tops) == 100
    assert "source only, equal steps: 28.0" in legend_texts(figure)


def test_progress_without_any_evaluation_still_draws():
    round_progress([{"round": 1, "labels": 3, "selected": 1, "quarantined": 0}]).savefig("/dev/null", format="png")


def test_figures_leave_no_state_behind_in_pyplot():
    import matplotlib.pyplot as plt

    pck_curve({"a": np.ones((2, 21))})
    assert plt.get_fignums() == []


def test_arrows_begin_at_the_first_place_and_end_at_the_last_and_unknown_joints_have_none():
    first, last = np.random.default_rng(1).uniform(5, 60, (2, 2, 21, 2))
    first[0, 8] = np.nan
    figure = movement_grid([np.zeros((64, 64, 3), np.uint8)] * 2, first, last, ["one", "two"])
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["one", "two"]
    for axes, starts, ends in zip(shown, first, last, strict=True):
        arrows = [each for each in axes.collections if isinstance(each, Quiver)]
        begins = np.concatenate([each.XY for each in arrows])
        ways = np.concatenate([np.stack([each.U, each.V], -1) for each in arrows])
        known = [joint for joint in range(21) if np.isfinite(starts[joint]).all()]
        np.testing.assert_allclose(begins, starts[known])
        np.testing.assert_allclose(begins + ways, ends[known])
    with pytest.raises(ValueError, match="give at least one picture"):
        movement_grid([], first, last, [])
