"""What MLflow may cost a round in all: a server that answers every question, but slowly, fails at none of them."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.tracking.request_header.registry import _request_header_provider_registry

_closes_s = math.inf  # when, on the monotonic clock, the time of whoever waits for MLflow is spent


class OverBudgetError(BaseException):
    """The time is spent. No `Exception`: MLflow goes on without a header where it got one instead."""


def check_budget() -> None:
    """Look whether something more may be asked.

    Raises:
        OverBudgetError: the time of the `Budget` that is being spent is over.
    """
    if time.monotonic() >= _closes_s:
        raise OverBudgetError


class Budget:
    """Seconds that count while somebody waits for MLflow; without end until they are renewed."""

    def __init__(self) -> None:
        self.limit_s, self.spent_s = math.inf, 0.0

    def renew(self, limit_s: float) -> None:
        """Let so many seconds be spent from now on."""
        self.limit_s, self.spent_s = limit_s, 0.0

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be asked."""
        return self.spent_s >= self.limit_s

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time inside; a request that would begin after it is spent raises `OverBudgetError`."""
        global _closes_s
        began_s = time.monotonic()
        _closes_s = began_s + self.limit_s - self.spent_s
        try:
            yield
        finally:
            _closes_s = math.inf
            self.spent_s += time.monotonic() - began_s


class _Doorkeeper:
    """MLflow asks it for headers before every request: the files of a model alone are over a hundred."""

    def in_context(self) -> bool:
        """There are none; but here a request can be stopped."""
        check_budget()
        return False


_request_header_provider_registry.register(_Doorkeeper)
