"""Ray, joined where there is a cluster, started where there is none; and a look before the leap."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
import ray.data
from ray._private import ray_constants
from ray._private.authentication.authentication_token_setup import AUTH_MODE_ENV_VAR
from ray._private.log import PlainRayHandler
from ray._raylet import Config  # type: ignore[attr-defined]

import semihand
from semihand import failpoints
from semihand.frames.errors import InputError, first_line
from semihand.rounds.auth_token import make_token
from semihand.rounds.config import ClusterConfig
from semihand.rounds.openness import address_of, refuse_open, refuse_strangers_token
from semihand.rounds.preflight import preflight
from semihand.rounds.session_folder import private_folder
from semihand.rounds.unwritable import check_temporary
from semihand.workforce import machines, stall_limit, working_alone

logger = logging.getLogger(__name__)
_MOST_STARTS = 3
_TOO_SLOW = "timed out during startup"  # Ray raises a bare Exception


@contextmanager
def connected(config: ClusterConfig, insecure: bool = False) -> Iterator[None]:
    """Join the cluster that RAY_ADDRESS or the running job names, else start Ray on this machine; or do without it.

    Args:
        config: what is taken of it.
        insecure: whether the cluster may obey whoever reaches it.

    Raises:
        InputError: the actors or workers would leave no CPU for anything else, or there are too few; or the cluster
            asks nobody for a token.
    """
    if config.alone:
        with working_alone():
            yield
        return
    ours = not ray.is_initialized()
    if ours:
        _join_or_start(config, insecure)
    elif not insecure:
        refuse_open(ray.get_runtime_context().gcs_address)
    try:
        preflight(config, machines())
        with stall_limit(config.stall_limit_s):
            yield
    finally:
        if ours:
            ray.shutdown()


def _join_or_start(config: ClusterConfig, insecure: bool) -> None:
    quieten()
    # Two processes that both spin at their barriers take a sixth of the speed that two which sleep have.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    mode = os.environ.get(AUTH_MODE_ENV_VAR, "token")
    if mode.lower() != "token" and not insecure:
        raise InputError(
            f"{AUTH_MODE_ENV_VAR} is {mode!r}: Ray would obey whoever reaches it. Unset it, or take the risk with "
            "--insecure-cluster."
        )
    named = os.environ.get("RAY_ADDRESS", "local")
    with _ends_at_once():
        if named not in ("", "local"):
            _join(address_of(named), insecure)
        else:
            _start(config, mode)


@contextmanager
def _ends_at_once() -> Iterator[None]:
    """Keep what SIGTERM does (`ray job stop` and preemption send it): Ray's own handler hangs, and aborts after 3 s."""
    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    yield
    if threading.current_thread() is threading.main_thread():  # no other may
        signal.signal(signal.SIGTERM, before)


def _join(address: str, insecure: bool) -> None:
    if not insecure:
        refuse_open(address)
        refuse_strangers_token(address)
        use_token()
    # Workers of a cluster do not have this checkout; those of a Ray started here inherit the path.
    environment = {"py_modules": [str(Path(semihand.__file__).parent)], "env_vars": failpoints.variables()}
    with _silent_core():
        ray.init(runtime_env=environment, log_to_driver=False, logging_level=logging.WARNING)


def _start(config: ClusterConfig, mode: str) -> None:
    if mode.lower() == "token":
        make_token()
        use_token()
    # By itself Ray listens on every address of the machine, whatever it is told; so it keeps to loopback on a laptop.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    inherited = os.environ.get("PYTHONPATH")
    package = Path(semihand.__file__).parent
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(package.parent), inherited)))
    temporary = private_folder()
    check_temporary(temporary)
    for starts_left in reversed(range(_MOST_STARTS)):
        try:
            with _silent_core():
                ray.init(
                    address="local",
                    num_cpus=config.num_cpus,
                    object_store_memory=config.object_store_mb * 1024**2,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.WARNING,
                    _temp_dir=temporary,
                )
        except ValueError as error:
            raise InputError(
                f"Ray cannot start with --cluster.num_cpus {config.num_cpus} and --cluster.object_store_mb "
                f"{config.object_store_mb}: {first_line(error)} Change what it names."
            ) from error
        except Exception as error:
            if not starts_left or _TOO_SLOW not in str(error):
                raise
            logger.warning("Ray took too long to start, as it may on a machine that is busy; it is started again")
            ray.shutdown()
        else:
            return


def use_token() -> None:
    """Have Ray show and ask for the token, though it read its environment when it was imported."""
    os.environ[AUTH_MODE_ENV_VAR] = "token"
    Config.initialize("")


def quieten() -> None:
    """Leave the terminal to the job's own lines; Ray's stay in the files of its session folder."""
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new reporter of Tune prints tables even at verbose=0
    # Every actor pool of Ray Data makes Ray's core print an error about its own arguments (ray issue 53727).
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray.data.DataContext.get_current().enable_progress_bars = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, PlainRayHandler):
            handler.setLevel(logging.ERROR)
    # Nothing to do about: that Ray guards a cluster of this machine by a token, and how many processes it has.
    for name in ("ray._private.authentication", "ray._private.worker"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def _silent_core() -> Iterator[None]:
    """Keep to itself the line in which Ray's core, told to be quiet, says that it was told so."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
