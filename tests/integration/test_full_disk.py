"""A disk that fills up ends a campaign with one line; with room again it goes on, and ends as if nothing had been."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from semihand.frames.errors import InputError
from semihand.rounds import run
from semihand.rounds.full_disk import full_disk_told
from semihand.rounds.preflight import check_disk
from semihand.rounds.run import run_rounds
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
    monkeypatch.setattr(run, "check_disk", lambda *asked: None)  # it would refuse in time
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
        full_disk_told(tmp_path),
    ):
        raise RuntimeError("something below failed") from error
    assert "\n" not in str(told.value)


def test_other_errors_pass(tmp_path):
    with pytest.raises(OSError, match="denied"), full_disk_told(tmp_path):
        raise PermissionError(13, "denied", str(Path(tmp_path, "file")))
