"""What a round's selection goes by: limits that were searched, proven or set by a share, or clusters of poses."""

from collections.abc import Mapping

import polars as pl
import pyarrow as pa

from semihand.frames.errors import InputError
from semihand.rounds.campaign import Campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.givens import write_frame
from semihand.rounds.ledger import Done
from semihand.stages.search import has_score, search_rule
from semihand.steps.clusters import CLUSTERS, read_clusters, write_clusters
from semihand.steps.guarantee import GuaranteeConfig, prove_limit, split_recordings
from semihand.steps.pose_selection import choose_clusters
from semihand.steps.recordings import halves
from semihand.steps.rules import THRESHOLD_COLUMNS, Rule, accept_share, read_rule
from semihand.steps.selection import Score, Searched, SelectConfig, error_limit_mm, first_rule, score_rule
from semihand.tables import Store, scan

TRIALS = "trials.parquet"
_FEW = 0.05  # of a round's labels; `make demo` selects 17 % in its first round


def labels_to_select(store: Store, round_number: int, config: SelectConfig) -> pa.Table:
    """A round's labels with the columns that selection goes by, by frame_id."""
    labels = scan(store, "labels", round=round_number)
    columns = ["frame_id", "round", "labeller", *THRESHOLD_COLUMNS, "predicted_error_mm", "joint_confidence"]
    columns += ["teacher_divergence_mm"]
    if config.compares_poses:
        frames = scan(store, "frames").select("frame_id", "hand", "sequence_id")
        labels = labels.join(frames, on="frame_id", how="left")
        columns += ["label_mm", "subject_id", "hand", "sequence_id"]
    return labels.select(columns).sort("frame_id").collect().to_arrow()


def find_rule(campaign: Campaign, round_number: int, errors: pl.DataFrame) -> Done:
    """What the search of a round leaves: the limits of its rule, and what they do on the calibration set.

    Raises:
        InputError: a guarantee is asked for, and no limit is proven; or a trial of the search was given up.
    """
    config = campaign.config.select
    if config.guarantee is not None:
        return proven_limit(errors, config.guarantee)
    if config.by_cluster:
        return Done()
    if (share := config.accept_share(round_number)) is not None:
        labels = labels_to_select(campaign.store, round_number, config)
        rule = accept_share(labels, share, campaign.config.calibrate.confidence)
        score = score_rule(errors, rule, error_limit_mm(errors, config))
        return Done(_named("calibration", score), thresholds=rule.model_dump())
    return _searched(campaign, round_number, errors)


def rule_of_round(campaign: Campaign, round_number: int, labels: pa.Table, limits: Mapping[str, float]) -> Rule:
    """The rule whose limits a search left; with clusters of poses, those of this round.

    Clusters and their thresholds follow those of the round before, and are kept for the next.
    """
    config, folder_of = campaign.config.select, campaign.round_folder
    if not config.by_cluster:
        return read_rule(limits)
    before = read_clusters(campaign.kept(round_number - 1, "select", CLUSTERS))
    clusters = choose_clusters(labels, before, round_number, config.cluster, campaign.config.calibrate.confidence)
    write_clusters(clusters, folder_of(round_number) / CLUSTERS)
    return clusters


def few_in_words(num_selected: int, num_labels: int, limit_mm: float | None, config: RoundConfig) -> str | None:
    """What it means that a round selected no label, or next to none, and the way out; None where it selected enough.

    Args:
        num_selected: labels that the round trains on.
        num_labels: of the round.
        limit_mm: the error that accepted labels were allowed on average; None where another rule decided.
        config: of the campaign.
    """
    if not num_labels or num_selected >= _FEW * num_labels:
        return None
    taught = "no label was trusted, so nothing is" if not num_selected else "so few labels were trusted that little is"
    longer = "train the teacher longer (--pretrain.num_steps, another --recipe)"
    teacher = longer if config.teacher is None else "start from a better --teacher"
    return (
        f"{taught} learned from labels of these frames in this round; {teacher}, or accept worse labels "
        f"({_looser(limit_mm, config)}), in another --campaign: this one keeps its settings"
    )


def _looser(limit_mm: float | None, config: RoundConfig) -> str:
    """The option that decides how good a label has to be."""
    select = config.select
    if select.guarantee is not None:
        return "raise --select.guarantee.error_mm or alpha"
    if select.by_cluster:
        return "raise --select.cluster.share_ramp"
    if select.accept_shares is not None:
        return "raise --select.accept_shares"
    if limit_mm is None or (select.num_trials == 0 and config.calibrate.confidence == "isotonic"):
        return "loosen --select.default"
    return f"raise --select.max_label_error_mm, here {limit_mm:.1f}"


def proven_limit(errors: pl.DataFrame, config: GuaranteeConfig) -> Done:
    """The limit on the expected error that the checked recordings prove safe, as what `search` leaves.

    Args:
        errors: from `fit_expected`.
        config: the promise.

    Raises:
        InputError: no limit is proven.
    """
    try:
        proof = prove_limit(*split_recordings(errors, config), config)
    except ValueError as error:
        raise InputError(f"--select.guarantee: {error}") from error
    metrics = {f"guarantee_{name}": float(value) for name, value in proof._asdict().items()}
    limit_mm = metrics.pop("guarantee_max_predicted_error_mm")
    return Done(metrics, thresholds={"max_predicted_error_mm": limit_mm})


def _searched(campaign: Campaign, round_number: int, errors: pl.DataFrame) -> Done:
    """The limits that accept the most of one half of the calibration labels, checked on the other."""
    config, folder = campaign.config.select, campaign.round_folder(round_number)
    ours, held_out = (errors[rows] for rows in halves(errors))
    start = first_rule(ours, config, campaign.config.calibrate.confidence)
    limit_mm = error_limit_mm(ours, config)
    chosen, metrics = start, {"error_limit_mm": limit_mm}
    if config.num_trials:
        found, trials = search_rule(ours, start, config, folder / "search")
        write_frame(trials, folder / TRIALS)
        chosen = found or _kept_limits(campaign, round_number, start)
        metrics |= _named("search", score_rule(ours, chosen, limit_mm))
        metrics["search_without_score"] = float(trials.select((~has_score()).sum()).item())
        metrics["search_kept_limits"] = float(found is None)
    metrics |= _named("held_out", score_rule(held_out, chosen, limit_mm))
    metrics |= _named("held_out_default", score_rule(held_out, start, limit_mm))
    return Done(metrics, thresholds=chosen.model_dump())


def _kept_limits(campaign: Campaign, round_number: int, start: Searched) -> Searched:
    """The last round's limits, where no trial of a search says anything of others; in round 1 those it began with."""
    last = campaign.ledger.finished(round_number - 1, "search")
    whose = "the search began with" if last is None else f"round {round_number - 1} selected by"
    campaign.say(
        f"round {round_number}: no trial of the search for limits has a score that is a number, so those that {whose} "
        f"are kept; see error_mm in {campaign.round_folder(round_number)}/calibration.parquet"
    )
    return start if last is None else type(start).model_validate(last.thresholds)


def _named(name: str, score: Score) -> dict[str, float]:
    return {f"{name}_{key}": value for key, value in score._asdict().items()}
