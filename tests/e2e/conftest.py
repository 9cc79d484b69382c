"""Servers that the tests of this folder share."""

import shutil
import tempfile
from pathlib import Path

import pytest
from servers import RayHead, Server, free_ports


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
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    head = RayHead(folder)
    try:
        head.start()
        yield head
    finally:
        head.stop()
        shutil.rmtree(folder, ignore_errors=True)
