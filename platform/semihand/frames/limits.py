"""How much one picture, video, manifest or annotation file may take, in bytes, pixels, frames and seconds."""

from pydantic import BaseModel, PositiveFloat, PositiveInt, model_validator


class Limits(BaseModel, frozen=True, extra="forbid"):
    """What is beyond them is quarantined with its reason; what is at them still fits a laptop's memory."""

    min_side_px: PositiveInt = 16  # no hand is seen in less
    max_side_px: PositiveInt = 16384  # what JPEG encoders of cameras go up to, with room
    max_pixels: PositiveInt = 50_000_000  # of a picture or a video's frame; the largest common phone sensor's
    max_picture_bytes: PositiveInt = 256 * 2**20  # an uncompressed picture of 50 Mpx is 200 MB
    max_jpeg_scans: PositiveInt = 40  # encoders write about ten; 10,000 scans take minutes to decode
    max_video_bytes: PositiveInt = 64 * 2**30  # all of a video is hashed: a minute on a fast disk
    max_frames: PositiveInt = 1_000_000  # of a video: nine hours at 30 Hz
    max_manifest_bytes: PositiveInt = 2 * 2**30  # a manifest is held in memory, embedded pictures too
    max_annotation_bytes: PositiveInt = (
        2 * 2**30
    )  # of a public set's file, parsed up to 8 times that; InterHand2.6M: 1 GB
    max_manifest_rows: PositiveInt = 5_000_000  # of a manifest; some kB of memory each
    max_item_s: PositiveFloat = 20.0  # a picture, or a video's next frame; the slowest of 9,721 took 0.3 s
    max_file_s: PositiveFloat = 600.0  # finding all frames of a video, the way to one of them, a manifest

    @model_validator(mode="after")
    def _sides_leave_room(self) -> "Limits":
        if self.min_side_px > self.max_side_px or self.min_side_px**2 > self.max_pixels:
            raise ValueError(f"min_side_px {self.min_side_px} leaves no picture below max_side_px and max_pixels")
        return self

    @property
    def picture_memory_bytes(self) -> int:
        """What decoding one picture or frame may reserve: 60 bytes a pixel, for a video's reference frames."""
        return 2**30 + 60 * self.max_pixels

    @property
    def file_memory_bytes(self) -> int:
        """What reading a manifest or an annotation file may reserve: itself, and twice what it unpacks to."""
        return 2 * 2**30 + 3 * max(self.max_manifest_bytes, self.max_annotation_bytes)


STANDARD = Limits()
