"""Labels as COCO keypoints (Lin et al., ECCV 2014): 21 joints in the picture, both hands.

Format after cocodataset.org/#format-data and pycocotools: `images`, `annotations` (`keypoints` x, y, v; `bbox`; `area`)
and `categories` with the joints' names and the skeleton, whose numbers count from 1. Two hands of one picture are two
annotations of one image. The two categories are the two sides, so that a tool that knows only categories keeps them
apart. v is 2 inside the picture and 1 outside: a label does not know what hides a joint.
"""

from pathlib import Path
from typing import Any

import numpy as np

from semihand.exports.forms import Form, write_json, write_picture
from semihand.exports.samples import Sample
from semihand.hand.skeleton import JOINT_NAMES, NUM_JOINTS, PARENTS

ANNOTATIONS = "annotations/hand_keypoints.json"
CATEGORIES = {"right": 1, "left": 2}


class Coco(Form):
    """COCO's keypoint format."""

    name = "coco"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._images: dict[str, dict[str, Any]] = {}
        self._annotations: list[dict[str, Any]] = []

    def write(self, sample: Sample) -> str:
        image = self._image(sample)
        width, height = sample.picture.size_px
        inside = (sample.uv_px >= -0.5).all(-1) & (sample.uv_px <= np.array([width, height]) - 0.5).all(-1)
        keypoints = np.concatenate([sample.uv_px, np.where(inside, 2.0, 1.0)[:, None]], axis=1)
        number = len(self._annotations) + 1
        self._annotations.append(
            {
                "id": number,
                "image_id": image["id"],
                "category_id": CATEGORIES[sample.about["hand"]],
                "keypoints": keypoints.reshape(-1).tolist(),
                "num_keypoints": NUM_JOINTS,
                "bbox": sample.box_px.tolist(),
                "area": float(sample.box_px[2] * sample.box_px[3]),
                "iscrowd": 0,
                "frame_id": sample.about["frame_id"],
            }
        )
        return f"{ANNOTATIONS}#{number}"

    def _image(self, sample: Sample) -> dict[str, Any]:
        """The sample's image, written unless another hand of the same picture came before it."""
        key = sample.picture_key
        if key not in self._images:
            data, suffix = sample.picture.encoded()
            name = f"images/{len(self._images):08d}{suffix}"
            write_picture(self.folder / name, data)
            width, height = sample.picture.size_px
            about = {"id": len(self._images) + 1, "file_name": name, "width": width, "height": height}
            self._images[key] = about
        return self._images[key]

    def finish(self) -> None:
        skeleton = [[PARENTS[joint] + 1, joint + 1] for joint in range(1, NUM_JOINTS)]
        categories = [
            {"id": number, "name": f"{side}_hand", "supercategory": "hand", "keypoints": list(JOINT_NAMES),
             "skeleton": skeleton}
            for side, number in CATEGORIES.items()
        ]  # fmt: skip
        content = {"info": {"description": "labels by semihand"}, "images": list(self._images.values()),
                   "annotations": self._annotations, "categories": categories}  # fmt: skip
        write_json(self.folder / ANNOTATIONS, content)
