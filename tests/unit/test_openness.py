"""Clusters asked as strangers: servers that speak Ray's protocol, with and without a guard."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from semihand.frames.errors import InputError
from semihand.rounds import openness
from semihand.rounds.cluster import connected
from semihand.rounds.config import ClusterConfig
from semihand.rounds.openness import address_of, obeys, refuse_open, refuse_strangers_token

SECRET = "5" * 64


class Everything(grpc.GenericRpcHandler):
    """Answers every method; with a token, as Ray 2.60's head does, whoever shows it."""

    def __init__(self, token, asked):
        self.token, self.asked = token, asked

    def service(self, details):
        shown = dict(details.invocation_metadata).get("authorization")
        self.asked.append((details.method, shown))

        def answer(request, context):
            if self.token is not None and shown != f"Bearer {self.token}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken: Authentication token is missing")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def cluster(token=None, port=0):
    """The address of a cluster, and what it was asked."""
    asked = []
    server = grpc.server(ThreadPoolExecutor(2), handlers=[Everything(token, asked)])
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{port}", asked
    finally:
        server.stop(0).wait()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_open_cluster_is_refused_by_its_address_with_the_way_out(scheme):
    with cluster() as (address, asked):
        with pytest.raises(InputError, match=rf"{address} obeys anybody.*RAY_AUTH_MODE=token.*--insecure-cluster"):
            refuse_open(scheme + address)
        [(method, shown)] = asked
        assert method.startswith("/ray.rpc.RayletDriver/" if scheme else "/ray.rpc.NodeInfoGcsService/")
        assert shown is None  # what is open is shown no token, it might be anybody's


def test_a_guarded_cluster_passes_and_its_token_is_told_from_another():
    with cluster(SECRET) as (address, _):
        refuse_open(address)
        refuse_strangers_token(address)
        assert not obeys(address, SECRET[:-1])
    with cluster("other") as (address, _), pytest.raises(InputError, match=f"{address} wants another token") as refused:
        refuse_strangers_token(address)
    assert SECRET not in str(refused.value)


def test_a_cluster_that_does_not_know_the_question_is_no_guarded_one(monkeypatch):
    monkeypatch.setattr(openness, "_QUESTION", "/no/such")
    with cluster() as (address, _):
        assert obeys(address)


def test_a_cluster_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(openness, "_PATIENCE_S", 0.2)
    with pytest.raises(InputError, match=r"no Ray cluster answers at 127\.0\.0\.1:1\. .*RAY_ADDRESS"):
        refuse_open("127.0.0.1:1")


def test_a_head_that_is_starting_again_is_waited_for():
    with cluster(SECRET) as (address, _):
        pass
    with ThreadPoolExecutor(1) as pool:
        passed = pool.submit(refuse_open, address)
        time.sleep(0.5)
        assert not passed.done()
        with cluster(SECRET, address.rpartition(":")[2]) as (_, asked):
            passed.result()
            assert len(asked) == 1


def test_over_tls_nothing_is_asked(monkeypatch):
    monkeypatch.setenv("RAY_USE_TLS", "1")
    with cluster() as (address, asked):
        refuse_open(address)
        refuse_strangers_token(address)
        assert asked == []


@pytest.mark.parametrize("named", ["nonsense", "auto"])
def test_an_address_of_no_cluster_is_named(named, monkeypatch):
    monkeypatch.setattr(openness.services, "find_gcs_addresses", set)  # whatever runs on this machine
    monkeypatch.setenv("RAY_TMPDIR", "/nowhere")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=f"RAY_ADDRESS is '{named}'"):
        address_of(named)
    assert address_of("ray://head:10001") == "ray://head:10001"


def test_joining_and_starting_ask_first(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setattr(openness.services, "resolve_ip_for_localhost", lambda host: host)
    with cluster() as (address, _):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(InputError, match=f"{address} obeys anybody"), connected(ClusterConfig()):
            raise AssertionError("it was let in")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS")
    with (
        pytest.raises(InputError, match=r"RAY_AUTH_MODE is 'disabled'.*--insecure-cluster"),
        connected(ClusterConfig()),
    ):
        raise AssertionError("it was let in")
