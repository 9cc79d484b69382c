"""A labeller that frames kill, where Ray's workers and children import it."""

from killing_work import killing
from semihand.stages.labelling import Labelling, _Labeller
from semihand.workforce import Shared, Work


class KillingLabeller(_Labeller):
    """The labeller, killed by the frames that the file beside its folder of attempts names."""

    @staticmethod
    def open(job: Labelling, previous: Shared) -> Work:
        """What labels, or dies."""
        assert job.attempts is not None
        return killing(job.attempts.parent, "frame_id", _Labeller.open(job, previous))
