"""A campaign in MLflow: one experiment, one run a round, one registered model with the alias ``champion``."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from semihand.tracking.outbox import Outbox
from semihand.tracking.round_run import RoundRun


class CampaignTracker:
    """Tracks one campaign.

    The record goes to ``MLFLOW_TRACKING_URI`` where it is set, else to ``<folder>/mlflow.db`` and
    ``<folder>/mlartifacts``, both by absolute path. A store that does not answer is warned of once; what it
    missed waits in ``<folder>/mlflow_spool.jsonl`` and is sent when a round begins or ends and it answers.
    """

    def __init__(self, campaign: str, folder: Path, limit_s: float = math.inf) -> None:
        """Name the campaign and its folder; nothing is opened yet.

        Args:
            campaign: its name.
            folder: where it lies.
            limit_s: how long a round waits for MLflow in all, one answer's time-out aside.

        Raises:
            ValueError: the campaign has no name, sqlite cannot carry the folder's path, or
                ``MLFLOW_TRACKING_URI`` names no kind of store that MLflow has.
        """
        if not campaign.strip():
            raise ValueError(f"campaign is {campaign!r}; name it with at least one letter or digit")
        self._outbox, self._limit_s = Outbox(campaign.strip(), Path(folder)), limit_s
        self._has_recorded = False

    @property
    def model_name(self) -> str:
        """The registered model's name."""
        return self._outbox.model_name

    @property
    def uri(self) -> str:
        """What `MLFLOW_TRACKING_URI` must be for whoever loads a model; may hold a password."""
        return self._outbox.location.uri

    @property
    def ui_hint(self) -> str:
        """The command or address that shows the campaign's runs."""
        shown = self._outbox.location.shown_uri
        return shown if shown.startswith("http") else f"mlflow server --backend-store-uri '{shown}'"

    @contextmanager
    def round_run(self, round: int, config: Mapping[str, object]) -> Iterator[RoundRun]:
        """The run of a round, made or, on resume, continued; ends FINISHED, FAILED or KILLED.

        Args:
            round: 0 is the pre-training.
            config: settings, may be nested; secrets are redacted.
        """
        self._has_recorded = True
        self._outbox.budget.renew(self._limit_s)
        self._outbox.open()
        run = RoundRun(self._outbox, round)
        run.set_status("RUNNING")
        run.log_params(config)
        try:
            yield run
        except BaseException as error:
            run.set_status("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        run.set_status("FINISHED")
        if self._outbox.spool:
            self._outbox.open()

    def deliver(self) -> None:
        """Send what waits, as far as a round's limit goes; a start that has recorded no round has no other work."""
        if self._outbox.spool:
            self._outbox.budget.renew(self._limit_s if self._has_recorded else math.inf)
            self._outbox.open()

    def champion(self) -> int | None:
        """The version under the alias; None where there is none or MLflow does not answer."""
        return self._outbox.champion()

    def versions(self, folder: Path) -> dict[int, bool]:
        """Every registered version, and whether it is of this model folder; none where MLflow does not answer."""
        return self._outbox.versions(folder)
