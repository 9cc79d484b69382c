"""How much one picture, video, manifest or annotation file may take, in bytes, pixels, frames and seconds."""

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt, model_validator


class Limits(BaseModel, frozen=True, extra="forbid"):
    """What is beyond them is quarantined with its reason; what is at them still fits a laptop's memory."""

    # No hand is seen in less.
    min_side_px: PositiveInt = Field(default=16, description="shortest side that a picture may have, px")
    # What JPEG encoders of cameras go up to, with room.
    max_side_px: PositiveInt = Field(default=16384, description="longest side that a picture may have, px")
    # The largest common phone sensor's.
    max_pixels: PositiveInt = Field(default=50_000_000, description="most pixels of a picture or of a video's frame")
    # An uncompressed picture of 50 Mpx is 200 MB.
    max_picture_bytes: PositiveInt = Field(default=256 * 2**20, description="largest file of a picture, bytes")
    # Encoders write about ten; 10,000 scans take minutes to decode.
    max_jpeg_scans: PositiveInt = Field(default=40, description="most scans of a progressive JPEG")
    # A minute on a fast disk.
    max_video_bytes: PositiveInt = Field(
        default=64 * 2**30, description="largest file of a video, bytes; all of it is hashed"
    )
    # Nine hours at 30 Hz.
    max_frames: PositiveInt = Field(default=1_000_000, description="most frames of a video")
    max_manifest_bytes: PositiveInt = Field(
        default=2 * 2**30,
        description="largest manifest, bytes unpacked; it is held in memory, embedded pictures too; of JSON a quarter",
    )
    # InterHand2.6M: 1 GB.
    max_annotation_bytes: PositiveInt = Field(
        default=2 * 2**30,
        description="largest annotation file of a public data set, bytes; parsed it may take 8 times that",
    )
    max_manifest_rows: PositiveInt = Field(
        default=5_000_000, description="most rows of a manifest; some kB of memory each"
    )
    # The slowest of 9,721 took 0.3 s.
    max_item_s: PositiveFloat = Field(
        default=20.0, description="longest that a picture or a video's next frame may take, s"
    )
    max_file_s: PositiveFloat = Field(
        default=600.0,
        description="longest that finding a video's frames, the way to one of them, or a manifest may take, s",
    )

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
