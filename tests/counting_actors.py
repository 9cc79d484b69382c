"""What tests let actors and tasks do, where Ray's workers can import it."""

import pyarrow as pa

from semihand.workforce import Shared


class Counter:
    """An actor that says how many rows a block has, and their sum with something shared added."""

    def __init__(self, shared: Shared) -> None:
        self.added: int = shared.get()

    def __call__(self, block: pa.Table) -> pa.Table:
        return pa.table({"rows": [block.num_rows], "sum": [sum(block["row"].to_pylist()) + self.added]})


def doubled(block: pa.Table) -> pa.Table:
    """Every row twice."""
    return pa.concat_tables([block, block])
