"""frames/sets/named.py, listing by parts and what asks for them: any data set, on the command line and in a round."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from frames_tables import with_column
from pydantic import ValidationError
from sample_pictures import write_folder

from semihand.command_line import read_config
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.listing import list_frames, list_parts
from semihand.frames.options import ListOptions
from semihand.frames.sets.columns import joints_in_space
from semihand.frames.sets.files import forget_annotations, kept_bytes, read_annotation
from semihand.frames.sets.freihand import FreihandOptions
from semihand.frames.sets.named import READERS, describe_sets, is_named, open_set
from semihand.frames.sets.reader import PROBLEM, Part, SetOptions, SetReader, guarded
from semihand.rounds.config import RoundConfig
from semihand.rounds.evaluation import evaluate_frames
from semihand.rounds.inputs import check_inputs

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"
TRUTH = ListOptions(with_truth=True)
K = np.array([[60.0, 0, 24], [0, 60, 16], [0, 0, 1]])
NUM_PARTS, ROWS = 4, 3


class MadeOptions(SetOptions):
    """Where something is wrong."""

    metres: int = -1  # the part whose joints are in metres
    behind: int = -1  # the part whose hands are behind the camera
    again: int = -1  # the part that lists the first part's pictures again
    depth: int = -1  # the part whose pictures measure depth
    nameless: bool = False  # every part has a row that names no picture
    empty: bool = False


class Made(SetReader):
    """Four parts of three pictures, each of a hand that faces the camera."""

    name = "made"
    about = "made for tests"
    Options = MadeOptions
    listed: list[int] = []  # noqa: RUF012  what was read, for tests to look at

    def parts(self) -> list[Part]:
        return [] if self.options.empty else [Part(f"part {number}", {"number": number}) for number in range(NUM_PARTS)]

    def rows(self, part: Part, with_truth: bool) -> Iterator[dict]:
        number = part.about["number"]
        self.listed.append(number)
        if self.options.nameless:
            yield {PROBLEM: BadFrame("bad_row", "names no picture"), "hand": "right"}
        first = 0 if number == self.options.again else ROWS * number
        for picture in range(first, first + ROWS):
            row = {"uri": f"hand_{picture:03}.png", "hand": "right", "split": "train"}
            row["modality"] = "depth" if number == self.options.depth else "rgb"
            yield guarded(row, *((lambda: self._truth(number),) if with_truth else ()))

    def _truth(self, number: int) -> dict:
        joints_mm = np.linspace([-30, -40, 400], [30, 40, 430], 21) * (-1 if number == self.options.behind else 1)
        joints_mm = joints_mm / 1000 if number == self.options.metres else joints_mm
        return joints_in_space(joints_mm, K) | {"supervision": "3d", "fx": 60.0, "fy": 60.0, "cx": 24.0, "cy": 16.0}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The name of a data set of twelve pictures."""
    write_folder(tmp_path / "set", NUM_PARTS * ROWS)
    monkeypatch.setitem(READERS, "made", Made)
    monkeypatch.setattr(Made, "listed", [])
    return f"made:{tmp_path / 'set'}"


def problems(listing):
    return [row["reason"] for row in listing.quarantine.to_pylist()]


def read(*words):
    return read_config(RoundConfig, [*words, "--recipe", "tiny"], RECIPES, None)


def test_parts_are_listed_one_after_the_other_and_only_when_they_are_asked_for(made):
    parts = list_parts(made, TRUTH)
    assert Made.listed == []
    first = next(parts)
    assert (first.frames.num_rows, Made.listed) == (ROWS, [0])
    whole = list_frames(made, TRUTH)
    assert whole.frames.num_rows == NUM_PARTS * ROWS
    assert whole.frames.slice(0, ROWS).equals(first.frames)
    assert [Path(uri).name for uri in whole.frames["uri"].to_pylist()] == [f"hand_{row:03}.png" for row in range(12)]


def test_what_two_parts_list_is_the_first_ones_and_quarantined_under_another_id_in_the_second(made):
    plain, listing = list_frames(made, TRUTH), list_frames(f"{made}?again=2", TRUTH)
    assert problems(listing) == ["duplicate"] * ROWS
    assert listing.frames["frame_id"].to_pylist() == [
        name for row, name in enumerate(plain.frames["frame_id"].to_pylist()) if not 2 * ROWS <= row < 3 * ROWS
    ]
    ids = listing.frames["frame_id"].to_pylist() + listing.quarantine["frame_id"].to_pylist()
    assert len(set(ids)) == len(ids) == NUM_PARTS * ROWS
    assert "part 2" in listing.quarantine["detail"][0].as_py()


@pytest.mark.parametrize("query", ["nameless=yes", "again=2&behind=2", "again=2&nameless=yes"])
def test_no_two_rows_of_all_parts_share_an_id(made, query):
    listing = list_frames(f"{made}?{query}", TRUTH)
    assert listing.quarantine.num_rows > 0
    assert len(set(listing.ids())) == len(listing.ids()) == (NUM_PARTS * (ROWS + ("nameless" in query)))


@pytest.mark.parametrize(("query", "said"), [("metres=1", "wrist to middle MCP"), ("behind=1", "behind the camera")])
def test_a_part_that_is_wrong_throughout_costs_only_its_own_rows(made, query, said):
    listing = list_frames(f"{made}?{query}", TRUTH)
    assert problems(listing) == ["bad_truth"] * ROWS
    assert said in listing.quarantine["detail"][0].as_py()
    assert listing.frames.num_rows == (NUM_PARTS - 1) * ROWS


def test_an_option_that_a_data_set_has_not_is_named_beside_those_it_has(made):
    with pytest.raises(InputError, match=r"option 'splt': there is none; .* takes "):
        open_set(f"{made}?splt=training")


def test_a_data_set_without_parts_says_so(made):
    with pytest.raises(InputError, match=r"made:.*nothing in it for .*empty=True; is it complete\?"):
        list_frames(f"{made}?empty=yes", TRUTH)


def test_checks_before_a_round_look_at_no_more_parts_than_they_need(made):
    check_inputs(read("--frames", made, "--evaluation", made, "--transductive"), begun=False)
    assert Made.listed == [0, 0]
    with pytest.raises(InputError, match=r"--calibration made:.* has 12 frames with 3D truth, but 20 are the least"):
        check_inputs(read("--calibration", made), begun=False)
    assert len(Made.listed) == 2 + NUM_PARTS
    Made.listed.clear()
    with pytest.raises(InputError, match=r"--source made:.*12 frames with 3D truth, and 40 are held out"):
        check_inputs(read("--source", made), begun=False)
    assert len(Made.listed) == NUM_PARTS


@pytest.mark.parametrize("option", ["--frames", "--evaluation", "--source", "--calibration"])
def test_pictures_that_measure_depth_are_refused_by_name(made, option):
    with pytest.raises(InputError, match=r"made:.*3 of 3 pictures measure depth, but SemiHand .* RGB"):
        check_inputs(read(option, f"{made}?depth=0"), begun=False)


def test_depth_is_refused_by_evaluation_too(made, teacher):
    with pytest.raises(InputError, match="measure depth"):
        evaluate_frames(Path(f"{made}?depth=3"), teacher, "default", ListOptions())


def test_an_evaluation_set_that_the_protocol_cannot_use_is_refused_before_pre_training(source_frames, tmp_path):
    truth = np.array(source_frames["joints_mm"].to_pylist())
    truth[:, 0] = np.nan
    frames = with_column(source_frames, "joints_valid", np.isfinite(truth).all(-1).tolist())
    pq.write_table(with_column(frames, "joints_mm", truth.tolist()), tmp_path / "no_wrist.parquet")
    words = ("--evaluation", str(tmp_path / "no_wrist.parquet"))
    with pytest.raises(InputError, match=r"--evaluation .*no_wrist.parquet: none of the 8 .*none knows wrist"):
        check_inputs(read(*words), begun=True)
    check_inputs(read(*words, "--protocol", "do"), begun=True)  # its tips are all there


@pytest.mark.parametrize(
    "text", ["freihand:/data/FreiHAND_pub_v2?split=training&version=gs", "icvl:sets/../ICVL", "nyu:."]
)
def test_a_name_arrives_at_every_option_as_it_was_typed(text, tmp_path):
    config = read("--frames", text, "--source", text, "--evaluation", text, "--calibration", text)
    for value in (config.frames, config.source, config.evaluation, config.calibration):
        assert str(value) == text
        assert is_named(value)
    recipe = tmp_path / "mine.toml"
    recipe.write_text("\n".join(f'{name} = "{text}"' for name in ("frames", "source", "evaluation", "calibration")))
    assert read_config(RoundConfig, ["--recipe", str(recipe)], RECIPES, None).evaluation == config.evaluation


def test_a_doubled_slash_and_a_home_folder_lead_to_the_same_data_set(made, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = open_set(made).folder
    assert open_set(Path(made.replace("made:/", "made://"))).folder == folder
    assert open_set("made:~/set").folder == folder


def test_values_of_options_are_percent_encoded_and_a_plus_is_one(tmp_path):
    named = open_set(f"freihand:{tmp_path}?mano=/data/c++/MANO%20RIGHT.pkl&split=all")
    assert named.options == FreihandOptions(mano=Path("/data/c++/MANO RIGHT.pkl"), split="all")


def test_the_users_own_files_are_found_from_other_working_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = open_set(f"freihand:{tmp_path}?mano=models/MANO_RIGHT.pkl")
    assert named.options.mano == tmp_path / "models/MANO_RIGHT.pkl"


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_data_set_is_described_with_the_options_it_takes(name):
    reader = READERS[name]
    assert f"{name}:FOLDER" in describe_sets()
    for option, field in reader.Options.model_fields.items():
        assert option in reader.about
        choices = getattr(field.annotation, "__args__", ())
        assert all(choice in reader.about for choice in choices if isinstance(choice, str) and option != "depth")
    with pytest.raises(ValidationError):
        reader.Options.model_validate({"nonsense": "1"})


def test_the_help_of_jobs_that_take_frames_lists_the_data_sets(capsys):
    with pytest.raises(SystemExit) as ended:
        read("--help")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert describe_sets() in printed
    assert "'freihand:/data/FreiHAND_pub_v2?split=training'" in printed


def test_parsed_annotations_are_counted_and_let_go(tmp_path):
    path = tmp_path / "list.json"
    path.write_text("[1, 2, 3]")
    forget_annotations()
    assert read_annotation(path) is read_annotation(path)
    assert kept_bytes() == 9
    kept = read_annotation(path)
    forget_annotations()
    assert kept_bytes() == 0
    assert read_annotation(path) is not kept
