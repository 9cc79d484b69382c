"""A labeller that frames kill, where Ray's workers and children import it."""

import pyarrow as pa

from killing_work import killing
from semihand.stages import labelling
from semihand.stages.labelling import LabelClusterConfig, Labelling, _Labeller, label_frames
from semihand.tables import Store
from semihand.workforce import Shared, Work, working_alone


class KillingLabeller(_Labeller):
    """The labeller, killed by the frames that the file beside its folder of attempts names."""

    @staticmethod
    def open(job: Labelling, previous: Shared) -> Work:
        """What labels, or dies."""
        assert job.attempts is not None
        return killing(job.attempts.parent, "frame_id", _Labeller.open(job, previous))


def label_alone(frames: pa.Table, job: Labelling, store: Store, cluster: LabelClusterConfig) -> None:
    """What a driver does without Ray, in a process of its own."""
    labelling._Labeller = KillingLabeller  # type: ignore[misc]
    with working_alone():
        label_frames(frames, job, store, cluster)
