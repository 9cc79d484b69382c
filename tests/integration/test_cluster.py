"""What is refused because Ray would wait for ever."""

import pytest

from semihand.frames.errors import InputError
from semihand.rounds.cluster import connected, preflight
from semihand.rounds.config import ClusterConfig
from semihand.stages.labelling import LabelClusterConfig
from semihand.stages.training import TrainClusterConfig


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
    ],
)
def test_what_a_cluster_cannot_hold_is_refused(config, resources, said):
    with pytest.raises(InputError, match=said):
        preflight(config, resources)


def test_actors_that_leave_room_for_a_writer_pass():
    preflight(asking(num_actors=3, cpus_per_actor=1.0), {"CPU": 4.0})
    preflight(asking(num_actors=2, cpus_per_actor=0.5, gpus_per_actor=0.5), {"CPU": 2.0, "GPU": 1.0})


def test_a_run_that_takes_every_cpu_is_refused_before_it_starts(local_ray):
    with (
        pytest.raises(InputError, match="the run would stall"),
        connected(asking(num_actors=4, cpus_per_actor=1.0)),
    ):
        raise AssertionError("it was let in")
