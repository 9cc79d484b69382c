"""MLflow, and nothing else knows it: a campaign is an experiment, a round is a run, a model is a version.
An ablation is an experiment too, with a run for each row below a run for the whole.

The ledger (the ROUNDS table) is the truth and MLflow its mirror: a tracking server that is down or refuses
never stops a round. What could not be logged waits in ``<campaign folder>/mlflow_spool.jsonl`` and is sent,
once, when the server answers again.
"""

from semihand.tracking.ablation import track_ablation
from semihand.tracking.campaign import CampaignTracker
from semihand.tracking.outbox import RegisteredModel
from semihand.tracking.round_run import RoundRun

__all__ = ["CampaignTracker", "RegisteredModel", "RoundRun", "track_ablation"]
