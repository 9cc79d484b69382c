"""A Ray cluster of a head and two nodes on this machine, whose parts die on command.

    python cluster_process.py SEED

Says its address, then does what it is told, a line in and the same line out when it is done, until there is no more.
"""

import random
import socket
import sys
import time

from ray.cluster_utils import Cluster

_NODES, _CPUS = 2, 2
_STORE_BYTES = 100 * 1024**2
_GCS_AWAY_S = 2.0


def lose_node(cluster: Cluster, rng: random.Random) -> None:
    """One dies with its raylet and workers, and another comes in its place."""
    nodes = sorted(cluster.worker_nodes, key=lambda node: str(node.unique_id))
    cluster.remove_node(rng.choice(nodes), allow_graceful=False)
    add_node(cluster)


def lose_gcs(cluster: Cluster, rng: random.Random) -> None:
    """The cluster's store dies, and comes back with what it had on disk."""
    cluster.head_node.kill_gcs_server()
    time.sleep(_GCS_AWAY_S)
    cluster.head_node.start_gcs_server()


def add_node(cluster: Cluster) -> None:
    """A node joins."""
    cluster.add_node(num_cpus=_CPUS, object_store_memory=_STORE_BYTES)


LOSSES = {"node": lose_node, "gcs": lose_gcs}


def main(seed: int) -> None:
    """Run the cluster until nothing more is asked."""
    with socket.socket() as held:  # a port of its own choice would be another after its death
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    head = {"num_cpus": _CPUS, "object_store_memory": _STORE_BYTES, "gcs_server_port": port}
    cluster, rng = Cluster(initialize_head=True, head_node_args=head), random.Random(seed)
    for _ in range(_NODES):
        add_node(cluster)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        LOSSES[line.strip()](cluster, rng)
        print(line.strip(), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
