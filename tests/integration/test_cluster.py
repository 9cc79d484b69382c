"""What is refused because Ray would wait for ever; and how a driver ends that is told to."""

import signal
import subprocess
import sys

import pytest

from semihand.frames.errors import InputError
from semihand.rounds.cluster import connected
from semihand.rounds.config import ClusterConfig
from semihand.rounds.preflight import preflight
from semihand.stages.labelling import LabelClusterConfig
from semihand.stages.training import TrainClusterConfig

DRIVER = """
import time
import ray
from semihand.rounds.cluster import connected
from semihand.rounds.config import ClusterConfig
with connected(ClusterConfig(num_cpus=4, object_store_mb=100)):
    print("connected", flush=True)
    ray.get(ray.remote(time.sleep).remote(600))
"""


def asking(num_actors=1, cpus_per_actor=0.5, gpus_per_actor=0.0, **train):
    label = LabelClusterConfig(num_actors=num_actors, cpus_per_actor=cpus_per_actor, gpus_per_actor=gpus_per_actor)
    return ClusterConfig(label=label, train=TrainClusterConfig(**train))


@pytest.mark.parametrize(
    ("config", "resources", "said"),
    [
        (asking(num_actors=4, cpus_per_actor=1.0), {"CPU": 4.0}, "4 label actors of 1 CPUs.*cluster has 4"),
        (asking(num_actors=4, cpus_per_actor=0.25), {"CPU": 1.0}, "would stall"),
        (asking(num_workers=3), {"CPU": 2.0}, "3 training workers.*--cluster.train.num_workers"),
        (asking(gpus_per_worker=1.0), {"CPU": 4.0}, "1 GPUs are asked for, but the cluster has 0"),
        (asking(gpus_per_actor=0.5, num_actors=3), {"CPU": 4.0, "GPU": 1.0}, r"1\.5 GPUs"),
        (
            asking(),
            {"CPU": 4.0, "object_store_memory": 1e6},
            r"128 labels take 1 MB.*has 1 MB.*object_store_mb",
        ),
    ],
)
def test_what_a_cluster_cannot_hold_is_refused(config, resources, said):
    with pytest.raises(InputError, match=said):
        preflight(config, [resources])


@pytest.mark.parametrize(
    ("config", "machines", "said"),
    [
        (asking(num_actors=2, cpus_per_actor=3.0), [{"CPU": 4.0}, {"CPU": 2.0}, {"CPU": 2.0}], "only 1 of them fit"),
        (
            asking(num_actors=2, cpus_per_actor=2.0),
            [{"CPU": 2.0}, {"CPU": 2.2}, {"CPU": 0.2}],
            "less than 0.25 CPUs on every machine",
        ),
        (asking(num_actors=3, gpus_per_actor=0.75), [{"CPU": 8.0, "GPU": 3.0}] * 1, None),
        (asking(num_actors=4, gpus_per_actor=0.75), [{"CPU": 8.0, "GPU": 3.0}], "only 3 of them fit"),
        (asking(num_actors=2, gpus_per_actor=1.0), [{"CPU": 8.0}, {"CPU": 0.5, "GPU": 2.0}], "only 1 of them fit"),
        (asking(num_workers=2, cpus_per_worker=3.0), [{"CPU": 3.0}, {"CPU": 2.0}, {"CPU": 2.0}], "training.*only 1"),
        (asking(num_actors=2, cpus_per_actor=2.0, num_workers=2), [{"CPU": 2.0}, {"CPU": 2.5}], None),
    ],
)
def test_a_process_must_fit_on_one_machine_and_a_writer_beside(config, machines, said):
    if said is None:
        preflight(config, machines)
        return
    with pytest.raises(InputError, match=said):
        preflight(config, machines)


def test_actors_that_leave_room_for_a_writer_pass():
    preflight(asking(num_actors=3, cpus_per_actor=1.0), [{"CPU": 4.0}])
    preflight(asking(num_actors=2, cpus_per_actor=0.5, gpus_per_actor=0.5), [{"CPU": 2.0, "GPU": 1.0}])


def test_a_run_that_takes_every_cpu_is_refused_before_it_starts(local_ray):
    with (
        pytest.raises(InputError, match="the run would stall"),
        connected(asking(num_actors=4, cpus_per_actor=1.0)),
    ):
        raise AssertionError("it was let in")


def test_a_driver_that_is_told_to_stop_while_it_waits_for_ray_ends_at_once():
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    with driver:
        assert driver.stdout.readline() == "connected\n"
        driver.terminate()
        assert driver.wait(60) == -signal.SIGTERM
