"""The frames that a user names, as far as a round needs them: a pool without truth, or those whose truth is known."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from semihand.frames.errors import InputError
from semihand.frames.listing import joined, list_parts
from semihand.frames.options import ListOptions
from semihand.frames.truth import known_points, known_poses, without_truth
from semihand.rounds.config import RoundConfig
from semihand.steps.finding import to_be_found


def pool_options(config: RoundConfig, path: Path) -> ListOptions:
    """What the user says where frames to be labelled say nothing."""
    options = ListOptions.said_by(config)
    return options if config.localiser is None else to_be_found(options, path)


def no_hand(path: Path) -> InputError:
    """What to say of frames in none of which the localiser finds a hand."""
    return InputError(f"{path}: the localiser finds no hand in any frame; lower --find.min_score, or give boxes")


def is_store(path: Path) -> bool:
    """Whether a folder is a store of frames, as campaigns and `make_synthetic` leave them."""
    return (path / "tables" / "frames" / "_delta_log").is_dir()


def check_pool(config: RoundConfig, path: Path) -> pa.Table:
    """All of a pool that is quickly listed, and of a public data set the first part with a frame that can be used."""
    listings = []
    for listing in list_parts(path, pool_options(config, path)):
        check_pictures(listing.frames, path)
        listings.append(listing)
        if listing.frames.num_rows:
            break
    return without_truth(joined(listings, path).frames)


def known_frames(
    config: RoundConfig,
    path: Path,
    say: Callable[[str], None] = lambda text: None,
    enough: Callable[[pa.Table], bool] | None = None,
    keep: Callable[[pa.Table], pa.Table] = known_poses,
) -> pa.Table:
    """The frames of a path whose truth may be read, in space unless said otherwise.

    Args:
        config: what the user said.
        path: where they lie.
        say: told of frames that are left out.
        enough: of a public data set, parts are listed until this says so; None: all of them.
        keep: which frames have the truth that is wanted.

    Raises:
        InputError: there is none, the pictures measure depth, or the path cannot be listed.
    """
    listings, tables = [], []
    for listing in list_parts(path, ListOptions.said_by(config).model_copy(update={"with_truth": True})):
        check_pictures(listing.frames, path)
        listings.append(listing)
        tables.append(keep(listing.frames))
        if enough is not None and enough(pa.concat_tables(tables)):
            break
    whole = joined(listings, path)
    if whole.quarantine.num_rows or whole.conversions:
        say(f"{path}: {whole}")
    known = pa.concat_tables(tables)
    if known.num_rows == 0:
        raise no_truth(path, keep)
    return known


def check_pictures(frames: pa.Table, path: Path) -> None:
    """Refuse pictures that measure depth: their colours mean nothing to a method that reads RGB.

    Raises:
        InputError: there are some.
    """
    num = frames["modality"].to_pylist().count("depth")
    if num:
        raise InputError(
            f"{path}: {num} of {frames.num_rows} pictures measure depth, but SemiHand labels, learns from and is "
            "evaluated on RGB. Name a set of colour pictures (of FPHA: view=colour)."
        )


def no_truth(path: Path, keep: Callable[[pa.Table], pa.Table] = known_poses) -> InputError:
    """What to say of frames that lack what is to be kept of them."""
    if keep is known_points:
        return InputError(f"{path} has no frame with 2D truth: give joints_uv_px, and supervision '2d', '3d' or 'mano'")
    return InputError(
        f"{path} has no frame with 3D truth: give joints_mm, and supervision '3d' or 'mano', for its rows"
    )
