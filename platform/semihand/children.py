"""Processes that compute for another: they end with the one that started them."""

import os
from multiprocessing import parent_process
from threading import Thread


def end_with_parent() -> None:
    """Have this process end as soon as the one that started it is gone: a killed run leaves nothing computing on."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
