"""The tables of a campaign, declared once: every column with its type, shape, unit and meaning.

Conventions of all of them: 21 joints (wrist; thumb, index, middle, ring, little, each base to tip),
millimetres, pixels of the original image with pixel centres at integers, camera frame x right, y down,
z forward. Confidences and agreements lie in 0..1, higher is better; spreads, residuals, errors and
divergences are lower-is-better. Floats are finite unless a column says otherwise; what is unknown is null.
"""

import pyarrow as pa

from semihand.reasons import QUARANTINE_REASONS as QUARANTINE_REASONS

VERSION = "1"

MODALITIES = ("rgb", "depth")
HANDS = ("left", "right")
BOX_SOURCES = ("given", "region", "localiser", "tracked", "truth")
INTRINSICS_SOURCES = ("given", "assumed")
SUPERVISIONS = ("none", "2d", "3d", "mano")
ROUND_STEPS = (
    "ingest", "subjects", "calibrate", "label", "seal", "search", "select", "train", "control", "evaluate",
    "promote",
)  # fmt: skip
ROUND_STATUSES = ("started", "finished", "failed", "skipped")

PICTURES_OF_TRUTH: tuple[str, ...] = ("mask_png", "depth_png", "parts_png")
PICTURE_COLUMNS: tuple[str, ...] = ("image", *PICTURES_OF_TRUTH)
TRUTH_COLUMNS: tuple[str, ...] = (
    "joints_uv_px",
    "joints_mm",
    "joints_valid",
    "mano_pose",
    "mano_shape",
    "mano_translation_mm",
    "mask_png",
    "depth_png",
    "parts_png",
)


def fixed_list(item: pa.DataType, *shape: int) -> pa.DataType:
    """The type of an array of this shape, outermost axis first."""
    for size in reversed(shape):
        item = pa.list_(item, size)
    return item


def column(
    name: str, kind: pa.DataType, description: str, *, unit: str | None = None, nullable: bool = True,
    deterministic: bool = True, values: tuple[str, ...] = (), finite_where: str | None = None,
) -> pa.Field:  # fmt: skip
    """A column that says what it means.

    Args:
        name: the column's name, ending in its unit where it has one.
        kind: its Arrow type; shapes are fixed-size lists.
        description: its meaning in one line.
        unit: the unit of its numbers, None for none.
        nullable: whether a row may lack it.
        deterministic: whether the same input gives the same bytes on a CPU, whatever the batch or order.
        values: the only strings it may hold; empty for any.
        finite_where: a column of flags, one per entry, outside which numbers may be NaN.
    """
    metadata = {"description": description, "deterministic": str(deterministic).lower()}
    metadata |= {"unit": unit} if unit else {}
    metadata |= {"values": ",".join(values)} if values else {}
    metadata |= {"finite_where": finite_where} if finite_where else {}
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def number(
    name: str, description: str, *shape: int, unit: str | None = None, nullable: bool = True
) -> pa.Field:  # fmt: skip
    """A float32 column: one number per row, or an array of the given shape."""
    return column(name, fixed_list(pa.float32(), *shape), description, unit=unit, nullable=nullable)


def text(name: str, description: str, *, nullable: bool = True, deterministic: bool = True) -> pa.Field:
    """A column of free text."""
    return column(name, pa.string(), description, nullable=nullable, deterministic=deterministic)


def _table(name: str, description: str, key: str, *fields: pa.Field, partition: str = "") -> pa.Schema:
    """The fields as a schema that names its table, its key and what it is partitioned by."""
    about = {"table": name, "version": VERSION, "description": description, "key": key}
    return pa.schema(fields, metadata=about | {"partition": partition})


_ID = text("frame_id", "content-free identity: see semihand.tables.identity", nullable=False)
_ROUND = column("round", pa.int32(), "round k: made by model k-1, trains model k", nullable=False)
_LABELLER = text("labeller", "the method that made the label", nullable=False)
_PNG = pa.binary()

FRAMES = _table(
    "frames", "one row per hand in a picture", "frame_id",
    _ID,
    text("dataset", "name of the data set", nullable=False),
    text("uri", "where the picture or video lies; null when `image` holds it", deterministic=False),
    column("image", pa.binary(), "the encoded picture itself; null when `uri` points to it"),
    text("content_sha256", "sha256 of the picture's or video's bytes as listed", nullable=False),
    column("modality", pa.string(), "what the picture measures", nullable=False, values=MODALITIES),
    column("video_frame", pa.int64(), "index of the frame in presentation order; null for a still"),
    column("timestamp_s", pa.float64(), "presentation time within its sequence", unit="s"),
    text("sequence_id", "what frames of one recording share"),
    text("instant_id", "what synchronised views of one instant share"),
    text("view_id", "the camera"),
    text("subject_id", "whose hand it is: bone lengths are measured per subject"),
    column("hand", pa.string(), "which hand it is", nullable=False, values=HANDS),
    number("bbox_px", "the hand's box: x, y of its top-left corner, width, height; null: all", 4, unit="px"),
    column("box_source", pa.string(), "where the box comes from; tracked: drawn about the joints of the video's frame "
           "before, and a hand seen in it", values=BOX_SOURCES),
    number("box_score", "how sure the localiser is that the box holds a hand, 0..1; null: it was not asked"),
    text("track_id", "the hand followed through its video: frame_id of where it was first seen; null: not followed"),
    column("fx", pa.float64(), "focal length along x; null when not given", unit="px"),
    column("fy", pa.float64(), "focal length along y; null when not given", unit="px"),
    column("cx", pa.float64(), "principal point, x; null when not given", unit="px"),
    column("cy", pa.float64(), "principal point, y; null when not given", unit="px"),
    column("distortion", pa.list_(pa.float64()), "OpenCV coefficients k1 k2 p1 p2 k3 (k4 k5 k6); null: none"),
    column("intrinsics_source", pa.string(), "whether the camera was measured", values=INTRINSICS_SOURCES),
    column("world_to_camera", fixed_list(pa.float64(), 12), "row-major 3 x 4 [R | t], t in mm", unit="mm"),
    text("background_uri", "a picture of the scene without the hand", deterministic=False),
    text("split", "train, calibration, evaluation or the data set's own name"),
    column("supervision", pa.string(), "the truth that a step may read", nullable=False, values=SUPERVISIONS),
    column("joints_uv_px", fixed_list(pa.float32(), 21, 2), "true joints in the picture; NaN where not valid",
           unit="px", finite_where="joints_valid"),
    column("joints_mm", fixed_list(pa.float32(), 21, 3), "true joints, camera frame; NaN where not valid",
           unit="mm", finite_where="joints_valid"),
    column("joints_valid", fixed_list(pa.bool_(), 21), "which joints the truth knows; null: all of them"),
    number("mano_pose", "axis-angle: global rotation, then 15 joints, the mean pose added", 48, unit="rad"),
    number("mano_shape", "MANO shape coefficients", 10),
    number("mano_translation_mm", "translation of the MANO model, camera frame", 3, unit="mm"),
    column("mask_png", _PNG, "hand mask: 8-bit, 255 on the hand"),
    column("depth_png", _PNG, "depth: 16-bit, tenths of a millimetre, 0 where unknown", unit="0.1 mm"),
    column("parts_png", _PNG, "part labels: 8-bit, 0 background, then one number per part"),
)  # fmt: skip

LABELS = _table(
    "labels", "what a labeller says about a frame", "frame_id,round,labeller",
    _ID, _ROUND, _LABELLER,
    text("subject_id", "whose hand it is, as in frames"),
    text("model", "sha256 of the weights that made the label", nullable=False),
    column("companion_frame_ids", pa.list_(pa.string()), "other frames that a pair or view label came from"),
    number("joints_uv_px", "raw joints in the picture", 21, 2, unit="px", nullable=False),
    number("joints_mm", "raw joints, camera frame", 21, 3, unit="mm", nullable=False),
    number("corrected_mm", "joints_mm, or a carried midpoint, on the subject's hand", 21, 3, unit="mm", nullable=False),
    number("label_mm", "the joints that training is given", 21, 3, unit="mm", nullable=False),
    number("root_mm", "middle-finger MCP, camera frame; null when only relative", 3, unit="mm"),
    number("joint_spread_px", "spread of each joint over test-time views", 21, unit="px"),
    number("joint_covariance", "row-major 3 x 3 covariance of each joint over views", 21, 9, unit="mm^2"),
    number("joint_confidence", "confidence of each joint, 0..1", 21),
    number("confidence", "confidence of the whole label, 0..1"),
    number("bone_mm", "raw bone lengths; bone k ends in joint k+1", 20, unit="mm"),
    number("bone_square_mm2", "each bone of every second view times that of the others: its squared length, free of "
           "what views disagree by; below 0 where all is noise", 20, unit="mm^2"),
    number("palm_square_mm2", "likewise every distance of wrist and finger bases, thumb to little", 6, 6, unit="mm^2"),
    number("bone_residual_mm", "raw minus the subject's bone lengths", 20, unit="mm"),
    number("moved_mm", "mean distance of a joint from joints_mm to corrected_mm", unit="mm"),
    column("correction_kept", pa.bool_(), "whether independent evidence bears corrected_mm out; null: not tested"),
    number("moved_since_last_round_mm", "mean distance of joints_mm from the last round's, root-relative", unit="mm"),
    number("stability", "SemiHand eq. 8, first term: spread of views about their median, or a carried label_mm"),
    number("feasibility_mm", "mean distance of a joint from what was corrected to corrected_mm", unit="mm"),
    column("mask_png", _PNG, "predicted hand mask: 8-bit, 255 on the hand"),
    number("mask_agreement", "mean overlap of the views' masks with their mean, 0..1"),
    number("silhouette_overlap", "overlap of label_mm's silhouette, 55 circles, with the predicted mask, 0..1"),
    number("teacher_divergence_mm", "mean distance of two teachers' joints, root-relative; null: no second", unit="mm"),
    number("predicted_error_mm", "error expected of label_mm, fitted on the calibration set", unit="mm"),
    number("joint_predicted_error_mm", "error expected of each joint of label_mm, fitted likewise", 21, unit="mm"),
    number("mano_pose", "axis-angle: global rotation, then 15 joints, the mean pose added", 48, unit="rad"),
    number("mano_shape", "MANO shape coefficients", 10),
    number("mano_translation_mm", "translation of the MANO model, camera frame", 3, unit="mm"),
    column("parts_png", _PNG, "restored part labels: 8-bit, 0 background, then one number per part"),
    partition="round",
)  # fmt: skip

SELECTIONS = _table(
    "selections", "which labels a student learns from", "frame_id,round,labeller",
    _ID, _ROUND, _LABELLER,
    column("selected", pa.bool_(), "whether the label is used", nullable=False),
    number("weight", "weight of the frame in the loss, 0 when not selected", nullable=False),
    number("joint_weight", "weight of each joint in the loss", 21),
    text("reason", "why: the rule that took or dropped it", nullable=False),
    column("pose_cluster", pa.int32(), "cluster of similar poses, where labels were chosen by cluster; depends on "
           "the whole set", deterministic=False),
    partition="round",
)  # fmt: skip

QUARANTINE = _table(
    "quarantine", "frames that failed, and why", "frame_id,round",
    _ID,
    text("uri", "where the picture lies", deterministic=False),
    _ROUND,
    text("stage", "the step it failed in: ingest, label ...", nullable=False),
    column("reason", pa.string(), "what is wrong", nullable=False, values=QUARANTINE_REASONS),
    text("detail", "the message", deterministic=False),
    partition="round",
)  # fmt: skip

SUBJECTS = _table(
    "subjects", "bone lengths per subject, measured from the last round's labels", "subject_id,round",
    text("subject_id", "whose hand it is, as in frames", nullable=False),
    _ROUND,
    number("bone_mm", "bone lengths; bone k ends in joint k+1", 20, unit="mm", nullable=False),
    number("palm_mm", "wrist and finger bases of the right hand, thumb to little, from the wrist; null: not measured",
           6, 3, unit="mm"),
    column("num_frames", pa.int64(), "labels they were measured from; 0: given or the model's mean",
           nullable=False),
    partition="round",
)  # fmt: skip

ROUNDS = _table(
    "rounds", "what happened: one row per step and event, the last one counts", "round,step",
    _ROUND,
    column("step", pa.string(), "the step of the round", nullable=False, values=ROUND_STEPS),
    column("status", pa.string(), "what happened to it", nullable=False, values=ROUND_STATUSES),
    column("started", pa.timestamp("us", tz="UTC"), "when the step began", deterministic=False),
    column("finished", pa.timestamp("us", tz="UTC"), "when the step ended", deterministic=False),
    text("table_versions", "JSON: the version of each table that the step read or left", deterministic=False),
    text("hashes", "JSON: sha256 of the manifest, configuration and code it depends on"),
    text("thresholds", "JSON: the thresholds in force"),
    text("model_sha256", "sha256 of the weights that the step left"),
    text("model_uri", "where these weights lie; `promote`: their version in the registry", deterministic=False),
    text("mlflow_run_id", "the MLflow run", deterministic=False),
    text("metrics", "JSON: what was measured"),
)  # fmt: skip

SCHEMAS: dict[str, pa.Schema] = {
    schema.metadata[b"table"].decode(): schema for schema in (FRAMES, LABELS, SELECTIONS, QUARANTINE, SUBJECTS, ROUNDS)
}


def deterministic_columns(schema: pa.Schema) -> tuple[str, ...]:
    """The columns whose bytes depend on the input alone, on a CPU."""
    return tuple(field.name for field in schema if field.metadata[b"deterministic"] == b"true")
