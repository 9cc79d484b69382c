"""A disk that fills up or may not be written ends a campaign with one line; later it goes on as if nothing had been."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from semihand.frames.errors import InputError
from semihand.rounds import run
from semihand.rounds.preflight import check_disk, check_disk_to_begin
from semihand.rounds.run import run_rounds
from semihand.rounds.unwritable import check_temporary, unwritable_told
from semihand.tables.comparing import differences
from semihand.tables.files import UNFINISHED

GROWING_MB = (3, 5, 8, 10, 12, 14, 16, 18, 20, 24, 28, 36, 64)  # what a disk has that somebody makes room on


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, of the first of these sizes, and what gives it another."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size_mb, *options):
        size = ",".join([f"size={size_mb}m", *options])
        return subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, text=True)

    if sys.platform != "linux" or (refused := mount(GROWING_MB[0])).returncode:
        pytest.skip(f"no disk can be mounted here: {sys.platform if sys.platform != 'linux' else refused.stderr}")
    yield folder, lambda size_mb: mount(size_mb, "remount").check_returncode()
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_campaign_whose_disk_fills_again_and_again_ends_as_an_undisturbed_one(
    small_disk, tiny_config, tiny_summary, monkeypatch, one_thread
):
    folder, grow = small_disk
    for name in ("check_disk", "check_disk_to_begin"):
        monkeypatch.setattr(run, name, lambda *asked: None)  # they would refuse in time
    cluster = tiny_config.cluster.model_copy(update={"alone": True})
    config = tiny_config.model_copy(update={"campaign": folder / tiny_config.campaign.name, "cluster": cluster})
    refused = {}
    for size_mb in GROWING_MB:
        grow(size_mb)
        try:
            run_rounds(config)
            break
        except InputError as error:
            refused[size_mb] = str(error)
            assert list(config.campaign.rglob(UNFINISHED)) == []
    assert len(refused) >= 4, refused
    assert any(re.search(r"/[\w.-]+\.(parquet|safetensors) \([\d,]+ bytes\)", said) for said in refused.values())
    for size_mb, said in refused.items():
        assert "there is no room left" in said
        assert str(config.campaign) in said
        assert f"of {size_mb * 1024**2:,}" in said
    tables = ("frames", "labels", "selections", "quarantine", "subjects")
    assert differences(config.campaign, tiny_config.campaign, tables) == []
    summaries = [json.loads((each.campaign / "summary.json").read_text()) for each in (config, tiny_config)]
    assert summaries[0] == summaries[1]


def test_rounds_that_would_fill_the_disk_are_refused_before_they_begin(tiny_campaign, teacher):
    check_disk(tiny_campaign.folder, teacher, 1)
    with pytest.raises(InputError, match=r"1000000 rounds of \d+ frames take about [\d,]+ MB in .* lower --rounds"):
        check_disk(tiny_campaign.folder, teacher, 10**6)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "/some/file"),
        RuntimeError("Failed to commit: Generic LocalFileSystem error: No space left on device (os error 28)"),
        RuntimeError("ray::write()\n  File x\nOSError: [Errno 28] No space left on device: '/some/file'"),
    ],
)
def test_whoever_finds_the_disk_full_it_is_told_once(error, tmp_path):
    with (
        pytest.raises(InputError, match=r"no room left: .*No space left on device.* bytes free of") as told,
        unwritable_told(tmp_path),
    ):
        raise RuntimeError("something below failed") from error
    assert "\n" not in str(told.value)


def test_other_errors_pass(tmp_path):
    with pytest.raises(OSError, match="denied"), unwritable_told(tmp_path / "campaign"):
        raise PermissionError(13, "denied", str(Path(tmp_path, "file")))


@pytest.fixture
def alone(tiny_config):
    """The tiny recipe in one process, in another folder."""
    cluster = tiny_config.cluster.model_copy(update={"alone": True})
    return lambda folder: tiny_config.model_copy(update={"campaign": folder, "cluster": cluster})


def test_a_campaign_that_its_disk_cannot_hold_is_refused_before_its_first_step(small_disk, alone):
    folder, _ = small_disk
    with pytest.raises(InputError, match=r"1 rounds takes at least [\d,]+ MB in .*, and [123] MB are free.* lower"):
        run_rounds(alone(folder / "campaign"))
    assert not (folder / "campaign" / "source").exists()


def test_a_campaign_that_has_begun_is_not_asked_for_the_room_of_its_beginning(tiny_campaign, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: pytest.fail("it was asked"))
    check_disk_to_begin(tiny_campaign)


def test_a_campaign_on_a_disk_that_is_read_only_is_one_line(small_disk, alone):
    folder, _ = small_disk
    (folder / "begun").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    with pytest.raises(InputError, match=r"--campaign \S+/new cannot be made: Read-only file system\. Name a folder"):
        run_rounds(alone(folder / "new"))
    with pytest.raises(InputError, match=r"--campaign \S+/begun cannot be used: Read-only .*driver\.lock\. Let"):
        run_rounds(alone(folder / "begun"))
    with pytest.raises(InputError, match=r"temporary folder \S+/ray does not take .*: Read-only .*RAY_TMPDIR"):
        check_temporary(str(folder / "ray"))


def test_a_temporary_folder_that_is_full_or_no_folder_is_told_before_ray_starts(small_disk, tmp_path):
    folder, grow = small_disk
    with pytest.raises(InputError, match=r"/ray does not take 16,777,216 bytes: No space left.*RAY_TMPDIR"):
        check_temporary(str(folder / "ray"))
    grow(64)
    check_temporary(str(folder / "ray"))
    assert list((folder / "ray").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/ray does not take .*: Not a directory.*RAY_TMPDIR"):
        check_temporary(str(tmp_path / "file" / "ray"))


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied", "{folder}/tables/labels/_delta_log"),
        RuntimeError("ray::write()\n  File x\nPermissionError: [Errno 13] Permission denied: '{folder}/tables/x'"),
    ],
)
def test_whoever_may_not_write_in_the_campaigns_folder_it_is_told_once(error, tmp_path):
    words = [str(each).format(folder=tmp_path) if isinstance(each, str) else each for each in error.args]
    if isinstance(error, OSError):
        words.append(error.filename.format(folder=tmp_path))
    with (
        pytest.raises(InputError, match=r"^--campaign \S+ cannot be used: .*Permission denied.* Let this user") as told,
        unwritable_told(tmp_path),
    ):
        raise type(error)(*words)
    assert "\n" not in str(told.value)
