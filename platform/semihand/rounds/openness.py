"""Whether a Ray cluster obeys strangers: asked as a stranger would ask, not read off the environment."""

import os

import grpc
from ray._private import services

from semihand.frames.errors import InputError
from semihand.rounds.auth_token import read_token

_CLIENT = "ray://"
# The first thing that whoever joins asks, of the head itself or of its proxy; it needs no argument.
_QUESTION = "/ray.rpc.NodeInfoGcsService/GetClusterId"
_QUESTION_TO_PROXY = "/ray.rpc.RayletDriver/ClusterInfo"
_REFUSALS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_NO_ANSWERS = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_PATIENCE_S = 20.0  # a head that was lost is there again by then


def address_of(named: str) -> str:
    """Host and port of the cluster that RAY_ADDRESS names.

    Raises:
        InputError: it names none, or is `auto` and none runs on this machine.
    """
    if named.startswith(_CLIENT):
        return named
    try:
        found = services.canonicalize_bootstrap_address(named)
    except (ConnectionError, ValueError) as error:
        raise InputError(f"RAY_ADDRESS is {named!r}: {error}. Name host:port of a cluster, or unset it.") from error
    if found is None:
        raise InputError(f"RAY_ADDRESS is {named!r}, but no cluster runs on this machine. Start one, or unset it.")
    return str(found)


def refuse_open(address: str) -> None:
    """Let only a cluster pass that wants to be shown a token.

    Over TLS nothing is asked: Ray's has both ends show certificates, and a stranger has none.

    Raises:
        InputError: it obeys anybody, or does not answer.
    """
    if not _over_tls() and obeys(address):
        raise InputError(
            f"the Ray cluster at {address} obeys anybody: it answers without a token, so whoever reaches it can run "
            "code on it. Start it again with RAY_AUTH_MODE=token, or take the risk with --insecure-cluster."
        )


def refuse_strangers_token(address: str) -> None:
    """Say in a line, and at once, what Ray says in twenty after as many seconds: the token is not this cluster's.

    Raises:
        InputError: it is another's, or there is none.
    """
    if not _over_tls() and not obeys(address, read_token()):
        raise InputError(
            f"the Ray cluster at {address} wants another token than the one here. Copy its own (on its head: "
            "`ray get-auth-token`) to a file of mode 0600 and name that with RAY_AUTH_TOKEN_PATH."
        )


def obeys(address: str, token: str | None = None) -> bool:
    """Whether a cluster answers who has this token; None for a stranger, who has none.

    Raises:
        InputError: it does not answer at all.
    """
    question = _QUESTION_TO_PROXY if address.startswith(_CLIENT) else _QUESTION
    carried = None if token is None else (("authorization", f"Bearer {token}"),)
    options = (("grpc.enable_http_proxy", 0),)  # as Ray itself goes
    with grpc.insecure_channel(address.removeprefix(_CLIENT), options) as channel:
        try:
            channel.unary_unary(question)(b"", timeout=_PATIENCE_S, metadata=carried, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() in _NO_ANSWERS:
                raise InputError(
                    f"no Ray cluster answers at {address}. Start it, name another in RAY_ADDRESS, or unset that to "
                    "work on this machine."
                ) from error
            return error.code() not in _REFUSALS
    return True


def _over_tls() -> bool:
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")
