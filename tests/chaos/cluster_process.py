"""A Ray cluster of a head and some nodes on this machine, whose parts die on command.

    python cluster_process.py NODES CPUS_PER_NODE SEED

Says its address, then does what it is told, a line in and the same line out when it is done, until there is no more.
"""

import random
import socket
import sys
import time

from ray._private.node import Node
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DrainNodeReason

_STORE_BYTES = 100 * 1024**2
_GCS_AWAY_S = 2.0
_NOTICE_S = 10.0


class Breakable:
    """A cluster of one head and other nodes, all alike.

    Args:
        nodes: how many besides the head.
        cpus: what each of them says it has.
        seed: of the choice of what dies.
    """

    def __init__(self, nodes: int, cpus: int, seed: int) -> None:
        self._rng = random.Random(seed)
        self._node = {"num_cpus": cpus, "object_store_memory": _STORE_BYTES}
        with socket.socket() as held:  # a port of the GCS's own choice would be another after its death
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        head = {**self._node, "gcs_server_port": port, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(nodes):
            self.cluster.add_node(**self._node)

    def lose(self, what: str) -> None:
        """A `node` but the head dies with its raylet and workers, one is `preempted`, or the `gcs` dies.

        Something takes its place. A node that is preempted is drained first, and then told to stop.
        """
        if what == "gcs":
            self.cluster.head_node.kill_gcs_server()
            time.sleep(_GCS_AWAY_S)
            self.cluster.head_node.start_gcs_server()
            return
        node = self._rng.choice(sorted(self.cluster.worker_nodes, key=lambda node: str(node.unique_id)))
        if what == "preempted":
            self._announce_the_end_of(node)
        self.cluster.remove_node(node, allow_graceful=what == "preempted")
        self.cluster.add_node(**self._node)

    def _announce_the_end_of(self, node: Node) -> None:
        ends_ms = int((time.time() + _NOTICE_S) * 1000)
        reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        accepted, why_not = GcsClient(address=self.cluster.address).drain_node(node.node_id, reason, "", ends_ms)
        assert accepted, why_not
        time.sleep(_NOTICE_S)


def main(nodes: int, cpus: int, seed: int) -> None:
    """Run the cluster until nothing more is asked."""
    breakable = Breakable(nodes, cpus, seed)
    print(breakable.cluster.address, flush=True)
    for line in sys.stdin:
        breakable.lose(line.strip())
        print(line.strip(), flush=True)
    breakable.cluster.shutdown()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
