"""One batch of damaged inputs of a kind: made from a seed, put where strangers would, and read."""

import io
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sample_pictures import encode, picture

from hostile.mutations import as_json, mutate, mutate_value, odd_value
from hostile.outcomes import LIMITS, Outcome, counted, read_model, read_path
from hostile.seeds import manifest_rows, model_seeds, parquet_of, picture_seeds, video_seeds
from hostile.sets import LISTS, ROWS_OF, SETS, make_sets
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.sets.named import open_set

RIGHT = ListOptions(hand="right", limits=LIMITS)
TRUTH = ListOptions(limits=LIMITS, with_truth=True)
NUM_ROWS = 3
_GOOD = encode(picture(77, 80, 60))


@dataclass(frozen=True)
class Seeds:
    """Valid files, made once."""

    folder: Path
    pictures: list[tuple[str, bytes]]
    videos: list[tuple[str, bytes]]
    models: list[tuple[str, bytes]]
    sets: dict[str, list[str]]


def make_seeds(folder: Path) -> Seeds:
    """Everything that mutations start from."""
    folder.mkdir(parents=True)
    return Seeds(folder, picture_seeds(), video_seeds(folder), model_seeds(folder), make_sets(folder))


def pictures(seeds: Seeds, num: int, folder: Path, rng: np.random.Generator) -> Outcome:
    """Pictures in a folder, in a manifest by path, or embedded in one; a good one among them stays as it is."""
    damaged = [_damaged(seeds.pictures, rng) for _ in range(num)]
    way = rng.integers(3)
    if way == 2:
        table = pa.table({"image": [_GOOD, *(data for _, data in damaged)], "hand": ["right"] * (num + 1)})
        (folder / "m.parquet").write_bytes(parquet_of(table))
        return counted(num, lambda: _with_good_one(folder / "m.parquet", num))
    names = ["good.png", *(f"{place}.{extension}" for place, (extension, _) in enumerate(damaged))]
    for name, data in zip(names, [_GOOD, *(data for _, data in damaged)], strict=True):
        (folder / name).write_bytes(data)
    if way == 0:
        return counted(num, lambda: _with_good_one(folder, num))
    rows = [json.dumps({"uri": name, "hand": "left"}) for name in names]
    (folder / "m.jsonl").write_text("\n".join(rows))
    return counted(num, lambda: _with_good_one(folder / "m.jsonl", num))


def _with_good_one(path: Path, num: int) -> Outcome:
    found, listing = read_path(path, RIGHT, num + 1)
    if listing.frames.num_rows == 0 or found.num_read == 0:
        found.lost.append(f"{path}: the good picture is gone")
    found.num_read -= 1
    return found


def videos(seeds: Seeds, num: int, folder: Path, rng: np.random.Generator) -> Outcome:
    """Videos in a folder; every one of them is frames or a reason."""
    names = []
    for place in range(num):
        extension, data = _damaged(seeds.videos, rng)
        names.append(f"{place}.{extension}")
        (folder / names[-1]).write_bytes(data)
    (folder / "good.png").write_bytes(_GOOD)

    def read() -> Outcome:
        listed = list_frames(folder, RIGHT)
        uris = listed.frames["uri"].to_pylist() + listed.quarantine["uri"].to_pylist()
        found, _ = read_path(folder, RIGHT, len(uris))
        missing = {*names, "good.png"} - {Path(uri).name for uri in uris}
        found.lost += [f"{folder}: {name} is neither frames nor a reason" for name in missing]
        return found

    return counted(num, read)


def json_manifests(seeds: Seeds, num: int, folder: Path, rng: np.random.Generator) -> Outcome:
    """Manifests in JSON lines."""
    _write_pictures(folder)
    total = Outcome()
    for place in range(num):
        rows = manifest_rows(NUM_ROWS)
        if rng.integers(2):
            rows = [mutate_value(row, rng) if rng.integers(2) else row for row in rows]
            data = b"\n".join(as_json(row, rng) for row in rows)
        else:
            data = mutate("\n".join(json.dumps(row) for row in rows).encode(), rng)
        path = folder / f"{place}.jsonl"
        path.write_bytes(data)
        num_lines = sum(bool(line.strip(b"\xef\xbb\xbf \t\r\n")) for line in data.split(b"\n"))
        options = (RIGHT, TRUTH)[rng.integers(2)]
        total += counted(1, lambda path=path, num=num_lines, o=options: read_path(path, o, num)[0])
    return total


def parquet_manifests(seeds: Seeds, num: int, folder: Path, rng: np.random.Generator) -> Outcome:
    """Manifests in Parquet: bytes damaged, or values of other types."""
    _write_pictures(folder)
    total = Outcome()
    for place in range(num):
        table = pa.Table.from_pylist(manifest_rows(NUM_ROWS))
        if rng.integers(2):
            table = _with_odd_column(table, rng)
        options = {
            "write_page_checksum": bool(rng.integers(2)),
            "use_dictionary": bool(rng.integers(2)),
            "compression": ("none", "snappy", "zstd", "gzip")[rng.integers(4)],
        }
        data = parquet_of(table, **options)
        path = folder / f"{place}.parquet"
        path.write_bytes(mutate(data, rng) if rng.integers(3) else data)
        asked = (RIGHT, TRUTH)[rng.integers(2)]
        total += counted(
            1, lambda path=path, o=asked: read_path(path, o, lambda: int(pq.read_metadata(path).num_rows))[0]
        )
    return total


def _with_odd_column(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    name = table.column_names[rng.integers(table.num_columns)]
    odd = [
        pa.array([{"a": 1}] * NUM_ROWS), pa.array([[1, None, 3]] * NUM_ROWS), pa.nulls(NUM_ROWS),
        pa.array([b"\xff\xfe"] * NUM_ROWS), pa.array(["x"] * NUM_ROWS).dictionary_encode(),
        pa.array([2**62] * NUM_ROWS), pa.array([float("nan")] * NUM_ROWS), pa.array([True] * NUM_ROWS),
        pa.array(["../a", "/dev/zero", "s3://x"]), pa.array([[[1.0] * 3] * 20] * NUM_ROWS),
        pa.array([1, 2, 3], pa.timestamp("us")), pa.array([[{"k": "v"}]] * NUM_ROWS),
        pa.array([[]] * NUM_ROWS, pa.list_(pa.int8())),
    ]  # fmt: skip
    place = table.schema.get_field_index(name)
    return table.set_column(place, name, odd[rng.integers(len(odd))])


def annotations(seeds: Seeds, num: int, folder: Path, rng: np.random.Generator) -> Outcome:
    """Annotation files of public data sets."""
    total = Outcome()
    for _ in range(num):
        name = list(seeds.sets)[rng.integers(len(seeds.sets))]
        relative = seeds.sets[name][rng.integers(len(seeds.sets[name]))]
        root = folder / name
        if not root.exists():
            shutil.copytree(seeds.folder / name, root)
        path, whole = root / relative, (seeds.folder / name / relative).read_bytes()
        path.write_bytes(_annotation(path.suffix, whole, rng))
        text, options = f"{name}:{root}?{SETS[name][1]}", (RIGHT, TRUTH, TRUTH)[rng.integers(3)]
        num = None if relative in LISTS else ROWS_OF[name]
        total += counted(1, lambda text=text, options=options, num=num: read_set(text, options, num))
        path.write_bytes(whole)
    return total


def _annotation(suffix: str, whole: bytes, rng: np.random.Generator) -> bytes:
    if rng.integers(2):
        return mutate(whole, rng)
    if suffix == ".json":
        return as_json(mutate_value(json.loads(whole), rng), rng)
    if suffix in (".pkl", ".pickle"):
        return pickle.dumps(mutate_value(pickle.loads(whole), rng), int(rng.integers(6)))  # our own seed
    if suffix == ".npz":
        with np.load(io.BytesIO(whole)) as arrays:
            return _npz({name: _odd_array(arrays[name], rng) for name in arrays.files})
    return mutate(whole, rng)


def read_set(text: str, options: ListOptions, num_rows: int | None) -> Outcome:
    """A data set by name of so many rows; None: its reader says how many, since what lists them is damaged."""

    def said() -> int:
        reader = open_set(text, options.limits)
        return sum(1 for part in reader.parts() for _ in reader.rows(part, options.with_truth))

    return read_path(text, options, said if num_rows is None else num_rows)[0]


def models(seeds: Seeds, num: int, folder: Path, rng: np.random.Generator) -> Outcome:
    """Hand models."""
    total = Outcome()
    for place in range(num):
        extension, data = seeds.models[rng.integers(len(seeds.models))]
        if rng.integers(2):
            with np.load(io.BytesIO(seeds.models[0][1])) as arrays:
                content: dict[str, Any] = dict(arrays)
            key = list(content)[rng.integers(len(content))]
            content[key] = _odd_array(content[key], rng)
            data = _npz(content) if extension == "npz" else pickle.dumps(content, int(rng.integers(6)))
        if rng.integers(3):
            data = mutate(data, rng)
        path = folder / f"{place}.{extension}"
        path.write_bytes(data)
        total += read_model(path)
        path.unlink()
    return total


def _odd_array(array: np.ndarray, rng: np.random.Generator) -> Any:
    """Another dtype or shape, numbers that are none, objects."""
    how = rng.integers(9)
    if how == 0:
        return array.astype(object)
    if how == 1:
        return np.array(odd_value(rng), object)
    if how == 2:
        return array[..., :-1]
    if how == 3:
        return np.full_like(array, np.nan) if array.dtype.kind == "f" else array.astype("U3")
    if how == 4:
        return array.astype("M8[s]") if array.dtype.kind in "iu" else array.astype(np.complex64)
    if how == 5:
        return array[None]
    if how == 6:
        return array * np.float64(1e300) if array.dtype.kind in "fiu" else array
    if how == 7:
        return np.zeros(array.shape, [("a", "f4"), ("b", "O")])
    return array


def _npz(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


def _damaged(seeds: list[tuple[str, bytes]], rng: np.random.Generator) -> tuple[str, bytes]:
    extension, data = seeds[rng.integers(len(seeds))]
    return extension, mutate(data, rng)


def _write_pictures(folder: Path) -> None:
    for row in range(NUM_ROWS):
        (folder / f"{row}.png").write_bytes(encode(picture(row, 64, 48)))


#: by name: what makes and reads a batch, inputs in a batch, and its share of all inputs
KINDS: dict[str, tuple[Callable[[Seeds, int, Path, np.random.Generator], Outcome], int, float]] = {
    "pictures": (pictures, 20, 0.5), "videos": (videos, 4, 0.1), "json": (json_manifests, 10, 0.12),
    "parquet": (parquet_manifests, 10, 0.1), "annotations": (annotations, 5, 0.12), "models": (models, 5, 0.06),
}  # fmt: skip
