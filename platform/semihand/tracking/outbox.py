"""The outbox: what is logged goes to MLflow at once, or waits in the spool until MLflow answers again."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semihand.redaction import redact
from semihand.tracking.breaker import Breaker, check_answer
from semihand.tracking.environment import check_database, locate_store, prepare_environment
from semihand.tracking.parameters import model_name
from semihand.tracking.spool import Entry, RunKey, Spool
from semihand.waiting import watched

logger = logging.getLogger(__name__)

_NONE = object()  # no answer, which is not the answer None


@dataclass(frozen=True)
class RegisteredModel:
    """A model in the registry.

    Attributes:
        name: of the registered model.
        version: None while the registration waits for the server.
        uri: for `mlflow.pyfunc.load_model`; the folder's own file URI while the version is None.
    """

    name: str
    version: int | None
    uri: str


class Outbox:
    """One campaign's way to MLflow. After a failure nothing is tried again until `open` is called.

    Attributes:
        budget: what may be waited for MLflow; when it is spent, nothing is tried until it is renewed.
    """

    def __init__(self, campaign: str, folder: Path) -> None:
        self.campaign = campaign
        self.model_name = model_name(campaign)
        self.location = locate_store(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.spool = Spool(folder / "mlflow_spool.jsonl")
        self.refused = Spool(folder / "mlflow_refused.jsonl")
        prepare_environment()
        # MLflow reads its settings while it is imported, so only now.
        from semihand.tracking import budget, delivery, failures

        self._delivery, self._failures, self._budgets = delivery, failures, budget
        self.budget = budget.Budget()
        self._connection: delivery.Connection | None = None
        self._run_ids: dict[RunKey, str] = {}
        self._warned_of: set[str] = set()
        self._breaker = Breaker()

    def open(self) -> bool:
        """Connect where there is no connection and send what waits; whether MLflow answers.

        A server that failed is not asked again before a hundred times as long has passed as the failure took.
        """
        if self.budget.is_spent or (self._connection is None and not self._breaker.may_ask()):
            return False
        self._answer(self._catch_up)
        return self._connection is not None

    def send(self, entry: Entry) -> Any:
        """Deliver an entry, or keep it; returns what its door returns, None when it was kept."""
        if self._connection is None:
            self.spool.append(entry)
            return None
        answer = self._answer(lambda: self._tell(self._connection, entry, self._failures.FAILURES))
        if answer is _NONE:
            self.spool.append(entry)
            return None
        return answer

    def run_id(self, round: RunKey) -> str | None:
        """The MLflow run of a round or name; None where MLflow never answered for it."""
        if self._connection is not None and round not in self._run_ids:
            self._answer(lambda: self._delivery.run_id(self._connection, round))
        return self._run_ids.get(round)

    def champion(self) -> int | None:
        """The version under the alias; None where there is none or MLflow does not answer."""
        version: int | None = self._asked(lambda connection: self._delivery.champion(connection))
        return version

    def versions(self, folder: Path) -> dict[int, bool]:
        """Every registered version, and whether it is this folder's; none where MLflow does not answer."""
        return self._asked(lambda connection: self._delivery.versions(connection, folder)) or {}

    def _asked(self, ask: Callable[[Any], Any]) -> Any:
        self.open()
        if self._connection is None:
            return None
        answer = self._answer(lambda: ask(self._connection))
        return None if answer is _NONE else answer

    def _answer(self, ask: Callable[[], Any]) -> Any:
        """What MLflow says; `_NONE`, and the end of the connection, where that is an error or takes too long."""
        began_s, answer = time.monotonic(), _NONE
        try:
            with self.budget.spending():
                answer = ask()
        except self._failures.FAILURES as error:
            self._breaker.failed(began_s)
            self._hang_up("does not answer", _first_line(error))
        except self._budgets.OverBudgetError:
            pass
        if self.budget.is_spent:
            waited = f"a round waited {self.budget.spent_s:.0f} s for it"
            self._hang_up("is too slow", f"{waited}; --mlflow_limit_s is {self.budget.limit_s:g}")
        return answer

    def _catch_up(self) -> None:
        if self._connection is None:
            check_answer(self.location.uri)
            if self.location.database is not None:
                check_database(self.location.database)
            with self._watched():
                self._connection = self._delivery.connect(self.campaign, self.model_name, self.location, self._run_ids)
        waiting, told = self.spool.read(), 0
        try:
            for entry in waiting:
                self._budgets.check_budget()
                self._tell(self._connection, entry, self._failures.ENTRY_FAILURES)
                told += 1
        finally:
            self.spool.keep(waiting[told:])
        if waiting:
            logger.info("MLflow answers again: %d waiting entries were sent", len(waiting))

    def _tell(self, connection: Any, entry: Entry, failures: tuple[type[Exception], ...]) -> Any:
        """What its door returns; None where MLflow refuses it."""
        try:
            with self._watched():
                return self._delivery.deliver(connection, entry)
        except failures as error:
            if not self._failures.is_refusal(error):
                raise
            self._refuse(entry, error)
            return None

    def _watched(self) -> AbstractContextManager[Callable[[], None]]:
        return watched(f"MLflow at {self.location.shown_uri}")

    def _hang_up(self, what: str, why: str) -> None:
        """Give the connection up, and say so once."""
        self._connection = None
        if what not in self._warned_of:
            self._warned_of.add(what)
            logger.warning(
                "MLflow at %s %s (%s). The work goes on; what it would have logged waits in %s "
                "and is sent when the campaign is continued and MLflow answers.",
                self.location.shown_uri,
                what,
                why,
                self.spool.path,
            )

    def _refuse(self, entry: Entry, error: Exception) -> None:
        reason = _first_line(error)
        logger.warning("MLflow refused %s (%s); kept in %s", entry.kind, reason, self.refused.path)
        self.refused.append(entry, reason)


def _first_line(error: Exception) -> str:
    lines = redact(str(error)).splitlines()
    return lines[0][:160] if lines else type(error).__name__
