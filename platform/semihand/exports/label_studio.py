"""Labels handed to people: a Label Studio project with pictures and pre-annotations.

Formats after labelstud.io/guide/predictions (tasks of `data` and `predictions`; every result has an id of its own),
labelstud.io/tags/keypointlabels (x, y and width in percent of the picture's size, `original_width`, `original_height`,
`image_rotation`). Pictures are served from the disk (labelstud.io/guide/storage, local storage): `README.md` in the
project says how. Percents count from the picture's edge, half a pixel before the centre of its first pixel, which is
where our pixels count from. What comes back is read by `semihand.exports.corrections`.
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from semihand.exports.forms import Form, write_json, write_picture
from semihand.exports.samples import Sample
from semihand.hand.skeleton import FINGERS, JOINT_NAMES
from semihand.report.overlays import FINGER_COLOURS

_CONTROL, _PICTURE = "joints", "picture"
_POINT_PERCENT = 0.7  # of the picture's width: the size of a point on the screen
_README = """# Review

1. Serve this folder: `LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true
   LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root} label-studio start`
2. Make a project; paste `label_config.xml` as its labelling interface; add a source storage of local files with the
   absolute path `{folder}` (do not synchronise it), which lets the project show its pictures.
3. Import `tasks.json`. Every task shows a hand of the side that it names, with the joints that were predicted.
4. Move what is wrong, delete what cannot be told, submit; skip what is no hand. A joint that is left where it is counts
   as confirmed once the task is submitted.
5. Export as JSON, then `python jobs/import_review.py --campaign CAMPAIGN --corrected EXPORT.json --out FOLDER`.
"""


class LabelStudio(Form):
    """A project to be imported."""

    name = "review"

    def __init__(self, folder: Path, home: Path) -> None:
        """Begin a project.

        Args:
            folder: where it is written.
            home: where it will lie when it is shown.
        """
        super().__init__(folder)
        self._home = home.resolve()
        self._tasks: list[dict[str, Any]] = []
        (folder / "label_config.xml").write_text(label_config())
        (folder / "README.md").write_text(_README.format(root=self._home.parent, folder=self._home))

    def write(self, sample: Sample) -> str:
        data, suffix = sample.picture.encoded()
        where = f"images/{self.num:08d}{suffix}"
        write_picture(self.folder / where, data)
        self._tasks.append(task(sample, f"/data/local-files/?d={quote(self._home.name)}/{where}"))
        return where

    def finish(self) -> None:
        write_json(self.folder / "tasks.json", self._tasks)


def label_config() -> str:
    """The labelling interface: one point a joint, in the colours that figures have."""
    colours = {joint: FINGER_COLOURS[finger] for finger, joints in FINGERS.items() for joint in joints}
    labels = "\n".join(
        f"    <Label value={quoteattr(name)} background={quoteattr(colours.get(joint, '#FFFFFF'))}/>"
        for joint, name in enumerate(JOINT_NAMES)
    )
    return (
        f'<View>\n  <Header value="$about"/>\n  <Image name="{_PICTURE}" value="$image" zoom="true"/>\n'
        f'  <KeyPointLabels name="{_CONTROL}" toName="{_PICTURE}" maxUsages="1" strokeWidth="2">\n{labels}\n'
        "  </KeyPointLabels>\n</View>\n"
    )


def task(sample: Sample, image: str) -> dict[str, Any]:
    """A task: the picture, which label it is of, and as a prediction the joints that are seen in it.

    Args:
        sample: the label.
        image: where Label Studio finds the picture.
    """
    width, height = sample.picture.size_px
    about = sample.about
    error = (
        "" if about["predicted_error_mm"] is None else f", expected to be off by {about['predicted_error_mm']:.0f} mm"
    )
    percent = 100 * (sample.uv_px + 0.5) / [width, height]
    shown = np.flatnonzero(((percent >= 0) & (percent <= 100)).all(-1))
    result = [
        {
            "id": f"{about['frame_id'][:16]}-{JOINT_NAMES[joint]}",
            "type": "keypointlabels",
            "from_name": _CONTROL,
            "to_name": _PICTURE,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "x": float(percent[joint, 0]),
                "y": float(percent[joint, 1]),
                "width": _POINT_PERCENT,
                "keypointlabels": [JOINT_NAMES[joint]],
            },
        }
        for joint in shown
    ]
    data = {
        "image": image,
        "about": f"{about['hand']} hand{error}",
        "frame_id": about["frame_id"],
        "round": about["round"],
        "width": width,
        "height": height,
        "affine": sample.affine.tolist(),
    }
    prediction = {"model_version": about["model"][:16], "result": result}
    if about["confidence"] is not None:
        prediction["score"] = about["confidence"]
    return {"data": data, "predictions": [prediction]}
