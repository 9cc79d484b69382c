"""What `mlflow.pyfunc.load_model` runs: MLflow keeps this file as text and executes it; no pickles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import numpy as np


class HandPoseModel(mlflow.pyfunc.PythonModel):
    """Pictures to 21 joints of one hand in each."""

    def load_context(self, context: Any) -> None:
        """Open the model folder that lies in the artifacts, once."""
        from semihand.methods.semihand.predictor import Predictor

        self.predictor = Predictor(Path(context.artifacts["model"]))

    # MLflow reads the hint of model_input: an array is the one hint that it leaves unchecked and quiet about.
    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> dict[str, np.ndarray]:
        """Joints of the hand in every picture.

        Args:
            model_input: RGB pictures 0..255, as one array (N, H, W, 3), a list of (H, W, 3) of any sizes, or
                a mapping with them as ``images`` and, if wanted, ``boxes_px`` (N, 4): x, y, width, height.

        Returns:
            ``joints_uv_px`` (N, 21, 2), pixels of each picture, and ``joints_mm`` (N, 21, 3), camera frame.

        Raises:
            ValueError: a picture has another shape or values outside 0..255.
        """
        images: Any = model_input
        boxes_px = None
        if isinstance(images, Mapping):
            boxes_px = images.get("boxes_px")
            images = images["images"]
        pictures = [_picture(image, row) for row, image in enumerate(_as_sequence(images))]
        boxes = None if boxes_px is None else np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
        uv_px, joints_mm = self.predictor.predict(pictures, boxes_px=boxes)
        return {"joints_uv_px": np.asarray(uv_px), "joints_mm": np.asarray(joints_mm)}


def _as_sequence(images: Any) -> Sequence[Any]:
    if isinstance(images, np.ndarray) and images.ndim == 3:
        return [images]
    if isinstance(images, np.ndarray | list | tuple):
        return images  # type: ignore[return-value]
    kind = type(images).__name__
    raise ValueError(f"images are a {kind}; give an array (N, H, W, 3) or a list of (H, W, 3)")


def _picture(image: Any, row: int) -> np.ndarray:
    picture = np.asarray(image)
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"picture {row} has shape {picture.shape}; RGB pictures have shape (H, W, 3)")
    if picture.dtype == np.uint8:
        return picture
    # A scoring server hands over JSON, whose whole numbers arrive as int64.
    if not np.issubdtype(picture.dtype, np.integer) or picture.min() < 0 or picture.max() > 255:
        found = f"{picture.dtype} in {picture.min()}..{picture.max()}"
        raise ValueError(f"picture {row} is {found}; give whole numbers 0..255 (uint8)")
    return picture.astype(np.uint8)


mlflow.models.set_model(HandPoseModel())
