"""Frames are read from where the listing says they lie, whole, in any order, and by groups of rows."""

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_rows import frame_rows

from semihand.tables import FRAMES, Store, scan
from semihand.tables.places import FILE, ROW, PlacedFrames, Places
from semihand.tables.rows import take_rows

PICTURE_BYTES = 100_000


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three files of frames; those of the second carry pictures that fill several groups of rows."""
    store = Store(tmp_path_factory.mktemp("places"))
    store.create()
    for start, num in ((0, 7), (100, 40), (200, 3)):
        rows = frame_rows(start + num).slice(start)
        if start == 100:
            pictures = [np.random.default_rng(row).bytes(PICTURE_BYTES) for row in range(num)]
            place, field = FRAMES.names.index("image"), FRAMES.field("image")
            rows = rows.set_column(place, field, pa.array(pictures, field.type))
        store.append("frames", rows)
    return store


def test_every_listed_frame_is_read_as_it_is(store):
    places = Places(store.folder, store.version("frames"))
    listing = places.listed(["frame_id", "uri"])
    assert listing.column_names == ["frame_id", "uri", FILE, ROW]
    order = np.random.default_rng(3).permutation(listing.num_rows)[:30]
    read = PlacedFrames(places)(take_rows(listing, order))
    assert read.schema.equals(FRAMES)
    everything = pl.DataFrame(scan(store, "frames").collect())
    wanted = pl.DataFrame({"frame_id": listing["frame_id"].take(order).to_pylist()}).join(
        everything, on="frame_id", how="left", maintain_order="left"
    )
    assert pl.DataFrame(pl.from_arrow(read)).select(everything.columns).equals(wanted.select(everything.columns))
    assert PlacedFrames(places)(listing.slice(0, 0)).num_rows == 0


def test_a_file_of_pictures_is_written_in_groups_of_a_few(store):
    sizes = []
    for path in Places(store.folder, store.version("frames")).paths():
        about = pq.ParquetFile(path).metadata
        sizes.append([about.row_group(group).total_byte_size for group in range(about.num_row_groups)])
    [several] = [each for each in sizes if len(each) > 1]
    assert max(several) < 2 * 1024**2
    assert sum(several) > 40 * PICTURE_BYTES


def test_a_listing_is_of_its_version(tmp_path):
    store = Store(tmp_path)
    store.create()
    store.append("frames", frame_rows(2))
    places = Places(store.folder, store.version("frames"))
    store.append("frames", frame_rows(4).slice(2))
    assert places.listed(["frame_id"]).num_rows == 2
    assert Places(store.folder, store.version("frames")).listed(["frame_id"]).num_rows == 4
    assert Places(store.folder, 0).listed(["frame_id"]).num_rows == 0
