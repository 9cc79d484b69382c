"""Servers that the tests of this folder share."""

import pytest
from servers import running_head

from mlflow_server import Server, free_ports


@pytest.fixture
def server(tmp_path):
    """An MLflow server with nothing in it."""
    server = Server(tmp_path, *free_ports(1))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def head():
    """A Ray cluster of one machine, started in the root of the repository."""
    with running_head() as head:
        yield head
