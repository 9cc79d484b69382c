"""Models, cards, recipes and tables that strangers made: through every door, none runs and each is refused by name."""

import hashlib
import importlib
import io
import json
import os
import pickle
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from deltalake import write_deltalake
from safetensors.torch import load, save

from hostile import bombs, models
from hostile.kinds import RIGHT
from semihand.command_line import USER_ERRORS, read_config
from semihand.frames.errors import InputError
from semihand.frames.json_files import read_json
from semihand.frames.listing import list_frames
from semihand.frames.worker import dismiss
from semihand.hand.mano import read_hand_model
from semihand.methods.localiser.looks import Localiser, LocaliserConfig
from semihand.methods.localiser.weights import LocaliserCard, save_localiser
from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.weight_folder import WEIGHTS
from semihand.methods.semihand.weights import CARD, save_model
from semihand.rounds.campaign import open_campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.evaluation import look_without_truth
from semihand.rounds.inputs import check_inputs
from semihand.rounds.localiser import check_localiser
from semihand.steps.following import FindConfig
from semihand.tables import Store, scan

HERE = models.Path("canary")  # only names are asked for where cases are listed
_seen: list[tuple[str, str]] = []
_armed = [""]


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    """What runs code, as the interpreter itself reports it; no listener can be taken back."""
    if not _armed[0]:
        return
    if event == "pickle.find_class" or (event in _ACTS and _armed[0] in repr(arguments)):
        _seen.append((event, repr(arguments)[:200]))


_ACTS = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "open", "exec", "import"}
sys.addaudithook(_listen)


@pytest.fixture
def canary(tmp_path):
    """A file that hostile inputs would make; afterwards there is none, and nothing tried."""
    path = tmp_path / "canary"
    _seen.clear()
    _armed[0] = str(path)
    yield path
    _armed[0] = ""
    assert _seen == []
    assert not path.exists()


@pytest.fixture(scope="module", autouse=True)
def _no_decoder_is_left():
    yield
    dismiss()


def refused(act, *named):
    """An error of ours, in a line, that names these; anything else fails the test."""
    with pytest.raises((*USER_ERRORS, ValueError)) as caught:
        act()
    kinds = (*USER_ERRORS, ValueError)
    assert type(caught.value) in kinds, caught.value  # no UnicodeDecodeError, JSONDecodeError, ValidationError
    for each in named:
        assert str(each) in str(caught.value)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


def with_weights(folder, data):
    """A model folder whose card vouches for these bytes."""
    about = read_json(folder / CARD)
    (folder / WEIGHTS).write_bytes(data)
    (folder / CARD).write_text(json.dumps(about | {"sha256": hashlib.sha256(data).hexdigest()}))
    return folder


@pytest.fixture
def model(tiny_network, card, tmp_path):
    return save_model(tiny_network, card, tmp_path / "models")


@pytest.fixture
def localiser(tmp_path):
    small = NetworkConfig(width=8, depth=1, decoder_channels=16)
    made = Localiser(LocaliserConfig(first=small, second=small))
    return save_localiser(made, LocaliserCard(network=made.config, threshold=0.5), tmp_path / "localisers")


def as_teacher(folder, tmp_path):
    """As `--teacher`."""
    check_inputs(RoundConfig(campaign=tmp_path / "campaign", teacher=folder), begun=False)


@pytest.mark.parametrize("name", sorted(models.programs(HERE)))
def test_the_programs_would_run_where_pickles_are_opened(name, tmp_path):
    """Else nothing below proves anything."""
    if name == "as chumpy's array":
        pytest.skip("its name is broken on purpose")
    pickle.loads(models.programs(tmp_path / "canary")[name])
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", [name for name, (_, runs) in models.archives(HERE).items() if runs])
def test_the_archives_would_run_for_whom_they_are_made(name, tmp_path):
    data = io.BytesIO(models.archives(tmp_path / "canary")[name][0])
    if name.startswith("np"):
        found = np.load(data, allow_pickle=True)
        found["weights"] if name.startswith("npz") else None
    else:
        torch.load(data, weights_only=False)
    assert (tmp_path / "canary").exists()


def test_the_listener_hears_a_program(tmp_path):
    _armed[0] = str(tmp_path / "canary")
    os.system(f"touch {tmp_path / 'canary'}")
    pickle.loads(pickle.dumps(os.getcwd))
    _armed[0] = ""
    assert {event for event, _ in _seen} == {"os.system", "pickle.find_class"}


@pytest.mark.parametrize("name", sorted(models.programs(HERE)))
def test_a_program_as_a_hand_model_or_as_weights_is_refused(name, model, canary, tmp_path):
    data = models.programs(canary)[name]
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(data)
    refused(lambda: read_hand_model(path), path)
    said = refused(lambda: as_teacher(with_weights(model, data), tmp_path), "--teacher", model / WEIGHTS)
    assert "no safetensors file" in said


@pytest.mark.parametrize("name", sorted(models.archives(HERE)))
def test_an_archive_is_refused_at_every_door_for_models(name, model, localiser, canary, tmp_path):
    data = models.archives(canary)[name][0]
    for extension in (".npz", ".pkl", ".pt"):
        path = tmp_path / f"hand{extension}"
        path.write_bytes(data)
        refused(lambda path=path: read_hand_model(path), path)
    refused(lambda: as_teacher(tmp_path / "hand.pt", tmp_path), "--teacher", tmp_path / "hand.pt")
    refused(lambda: as_teacher(with_weights(model, data), tmp_path), model / WEIGHTS)
    about = read_json(localiser / "localiser.json") | {"sha256": hashlib.sha256(data).hexdigest()}
    (localiser / "localiser.json").write_text(json.dumps(about))
    (localiser / WEIGHTS).write_bytes(data)
    refused(lambda: check_localiser(localiser, FindConfig()), "--localiser", localiser / WEIGHTS)
    assert not (tmp_path.parent / "outside.npy").exists()


@pytest.mark.parametrize("name", sorted(models.weights()))
def test_weights_that_are_none_are_refused(name, model, tmp_path):
    refused(lambda: as_teacher(with_weights(model, models.weights()[name]), tmp_path), "--teacher", model / WEIGHTS)


def first_tensor(state, change):
    name = min(state)  # the order of a file is another every time
    return state | {name: change(state[name])}


ALTERED = {
    "one is missing": lambda state: {name: state[name] for name in state if name != min(state)},
    "one too many": lambda state: state | {"more": torch.zeros(1)},
    "of another shape": lambda state: first_tensor(state, lambda value: value.new_zeros(7)),
    "whole numbers": lambda state: first_tensor(state, lambda value: value.to(torch.int64)),
    "of double precision": lambda state: first_tensor(state, lambda value: value.double()),
    "of eight bits": lambda state: first_tensor(state, lambda value: value.to(torch.float8_e4m3fn)),
    "not finite": lambda state: first_tensor(state, lambda value: torch.full_like(value, torch.nan)),
    "infinite": lambda state: first_tensor(state, lambda value: torch.full_like(value, torch.inf)),
}


@pytest.mark.parametrize("name", ALTERED)
def test_weights_of_another_network_are_refused_by_their_tensor(name, model, tmp_path):
    state = load((model / WEIGHTS).read_bytes())
    data = save(ALTERED[name](state))
    said = refused(lambda: as_teacher(with_weights(model, data), tmp_path), model / WEIGHTS)
    assert ("more" if name == "one too many" else min(state)) in said


@pytest.mark.parametrize("name", sorted(models.texts()))
def test_a_card_that_is_no_card_is_refused_by_its_file(name, model, localiser, tmp_path):
    (model / CARD).write_bytes(models.texts()[name])
    (localiser / "localiser.json").write_bytes(models.texts()[name])
    refused(lambda: as_teacher(model, tmp_path), "--teacher", model / CARD)
    refused(lambda: check_localiser(localiser, FindConfig()), "--localiser", localiser / "localiser.json")
    frames = tmp_path / "frames"
    refused(lambda: look_without_truth(frames, model, RIGHT), "--model", model / CARD)


FIELDS = {
    "method": "../../etc/passwd", "crop_margin": 1e308, "template_mm": [1.0] * 19, "palm_mm": [[0.0] * 3] * 5,
    "sha256": "../" * 20, "unheard_of": 1, "network.width": 10**9, "network.depth": -1, "network.input_px": 10**6,
    "network.backbone": "../../elsewhere", "network.decoder_channels": "64", "network": [1] * 2000,
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_card_with_a_wrong_field_is_refused_by_field_and_value(field, model, tmp_path):
    about = read_json(model / CARD)
    outer, _, inner = field.partition(".")
    if inner:
        about[outer][inner] = FIELDS[field]
    else:
        about[outer] = FIELDS[field]
    (model / CARD).write_text(json.dumps(about))
    refused(lambda: as_teacher(model, tmp_path), field, str(FIELDS[field])[:8])


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_backbone_of_pickles_is_refused_before_it_is_opened(name, canary, tmp_path):
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "config.json").write_text('{"model_type": "resnet"}')
    (tmp_path / "backbone" / name).write_bytes(models.archives(canary)["pt as a zip"][0])
    refused(
        lambda: HandNetwork(NetworkConfig(backbone=str(tmp_path / "backbone"))), tmp_path / "backbone", "safetensors"
    )


@pytest.mark.parametrize("name", sorted(models.recipes()))
def test_a_recipe_that_is_a_bomb_or_none_is_refused_by_file_or_key(name, tmp_path):
    path = tmp_path / "odd.toml"
    path.write_bytes(models.recipes()[name])
    said = refused(lambda: read_config(RoundConfig, ["--recipe", str(path)], tmp_path, None))
    assert str(path) in said or any(key in said for key in ("rounds", "train", "campaign"))


@pytest.mark.parametrize("name", sorted(models.texts()))
def test_settings_of_a_campaign_that_are_none_are_refused(name, tmp_path):
    folder = tmp_path / "campaign"
    folder.mkdir()
    (folder / "config.json").write_bytes(models.texts()[name])
    refused(lambda: open_campaign(RoundConfig(campaign=folder)), folder)


def parquet_with(metadata, canary):
    """A table whose only column is said to be of a type that is a pickle."""
    program = models.programs(canary)["GLOBAL"]
    about = {"ARROW:extension:name": metadata, "ARROW:extension:metadata": program}
    column = pa.field("uri", pa.string(), metadata=about)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["a.png"])], schema=pa.schema([column])), sink)
    return sink.getvalue()


EXTENSIONS = ["arrow.py_extension_type", "ray.data.arrow_tensor", "ray.data.arrow_tensor_v2",
              "ray.data.arrow_variable_shaped_tensor", "ray.data.arrow_pickled_object"]  # fmt: skip


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_manifest_of_pickled_types_runs_nothing(extension, canary, tmp_path):
    importlib.import_module("ray.data")  # which registers types of its own

    path = tmp_path / "m.parquet"
    path.write_bytes(parquet_with(extension, canary))
    refused(lambda: list_frames(path, RIGHT.model_copy(update={"hand": None})), path)


@pytest.mark.parametrize("name", sorted(bombs.tables()))
def test_a_manifest_that_is_a_bomb_is_refused(name, tmp_path):
    path = tmp_path / "m.parquet"
    path.write_bytes(bombs.tables()[name]())
    refused(lambda: list_frames(path, RIGHT), path)


@pytest.fixture
def table(tmp_path):
    """A FRAMES table of a campaign."""
    store = Store(tmp_path / "campaign")
    store.create(["frames"])
    return tmp_path / "campaign" / "tables" / "frames"


def log_of(table, *actions):
    (table / "_delta_log" / f"{1:020d}.json").write_text("\n".join(json.dumps(each) for each in actions))


UNHEARD_OF = {"readerFeatures": ["pickles"], "writerFeatures": ["pickles"]}
LOGS = {
    "a protocol of the future": {"protocol": {"minReaderVersion": 99, "minWriterVersion": 99}},
    "features that nobody has": {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7} | UNHEARD_OF},
    "rows that are not there": {"commitInfo": {"semihand.num_rows": "5"}},
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_a_table_that_is_more_than_we_read_is_refused(name, table):
    log_of(table, {"commitInfo": {}} | LOGS[name])
    refused(lambda: scan(table.parents[1], "frames").collect(), "frames")
    refused(lambda: list_frames(table.parents[1], RIGHT), "frames")


def test_a_table_of_other_columns_is_refused(tmp_path):
    write_deltalake(str(tmp_path / "tables" / "frames"), pa.table({"uri": ["a.png"]}))
    refused(lambda: list_frames(tmp_path, RIGHT), tmp_path)


def test_what_is_a_pipe_or_without_end_hangs_nobody(model, tmp_path):
    for name in (CARD, WEIGHTS):
        kept = (model / name).read_bytes()
        (model / name).unlink()
        (model / name).symlink_to("/dev/zero")
        refused(lambda: as_teacher(model, tmp_path), model)
        (model / name).unlink()
        os.mkfifo(model / name)
        refused(lambda: as_teacher(model, tmp_path), model)
        (model / name).unlink()
        (model / name).write_bytes(kept)
    as_teacher(model, tmp_path)


def test_there_are_enough_of_them():
    counts = [len(each) for each in (models.programs(HERE), models.archives(HERE), models.weights(), models.texts(),
                                     models.recipes(), ALTERED, FIELDS, EXTENSIONS, LOGS)]  # fmt: skip
    assert sum(counts) >= 50
    assert InputError in USER_ERRORS
