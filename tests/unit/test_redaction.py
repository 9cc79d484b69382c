"""What is taken out of texts and settings, and what is not."""

import json
import time
from pathlib import Path

import pytest
from test_help import options_of

from semihand.command_line import refuse, where_to_look
from semihand.frames.errors import BadFrame, InputError, shown
from semihand.frames.limits import Limits
from semihand.frames.worker import borrowed, dismiss
from semihand.redaction import REDACTED, is_secret, redact, redact_all
from semihand.rounds.campaign import open_campaign
from semihand.rounds.config import RoundConfig

CANARY = "c4n4ry-c4n4ry"


@pytest.mark.parametrize(
    "text",
    [
        f"http://user:{CANARY}@host:5000/x", f"postgresql+psycopg://{CANARY}@db/mlflow",
        f"s3://bucket/x?X-Amz-Signature={CANARY}&a=1", f"https://store/x?sig={CANARY}", f"x?a=1;api_key={CANARY} y",
        f"sqlite:///m.db?password={CANARY}", f"Authorization: Bearer {CANARY}", f"authorization: basic {CANARY}=",
        f"https://user:p@{CANARY}@host/x", f"https:/user:{CANARY}@host/x", f"https://host/x#access_token={CANARY}",
    ],
)  # fmt: skip
def test_a_secret_goes_and_what_is_around_it_stays(text):
    assert CANARY not in redact(f"before {text} after")
    assert REDACTED in redact(text)
    assert redact(f"before {text} after").startswith("before ")
    assert redact(f"before {text} after").endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "freihand:/data/FreiHAND_pub_v2?split=training", "http://host:5000/x", "mail me@home", "a bearer of bad news",
        "/data/keypoints?view=2&frame=3", "sqlite:////home/me/campaigns/mlflow.db",
        "file:///home/me@host/x.png", "s3://bucket/a@b.png",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays_as_it_is(text):
    assert redact(text) == text


@pytest.mark.parametrize("part", ["?key", "://a", ":/", "&sig;token", "basic ", "@:/x", "?a=:/b@"])
def test_a_text_that_was_made_to_be_slow_is_looked_through_in_no_time(part):
    began_s = time.perf_counter()
    redact(part * 50_000)
    assert time.perf_counter() - began_s < 2


def test_what_is_said_of_a_bad_frame_shows_no_secret():
    assert BadFrame("bad_path", f"https://me:{CANARY}@store/a: refused").detail == "https://[redacted]@store/a: refused"
    assert CANARY[:3] not in shown(f"https://me:{CANARY * 9}@store/a")  # also where the message is cut before the @


def test_settings_are_redacted_at_any_depth():
    given = {"a": [{"token": {"b": CANARY}}, f"http://{CANARY}@x"], "keypoints": 21, "api_key": CANARY, "n": 1.5}
    told = redact_all(given)
    assert CANARY not in json.dumps(told)
    assert (told["keypoints"], told["n"]) == (21, 1.5)


def test_no_option_has_a_secrets_name():
    """Else two campaigns that differ in it would look alike."""
    assert [name for name, _ in options_of(RoundConfig) if any(map(is_secret, name.split(".")))] == []


def test_an_error_shows_no_secret(capsys):
    with pytest.raises(SystemExit):
        refuse(f"--frames s3://me:{CANARY}@bucket/x: no such file")
    said = capsys.readouterr().err
    assert CANARY not in said
    assert "s3://[redacted]@bucket/x" in said


def test_the_last_lines_of_a_job_show_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{CANARY}@host:5000")
    assert CANARY not in where_to_look(tmp_path)
    assert "http://[redacted]@host:5000" in where_to_look(tmp_path)


def test_the_settings_that_a_campaign_keeps_show_no_secret(tmp_path, monkeypatch):
    monkeypatch.setattr("semihand.rounds.campaign.check_inputs", lambda config, begun: None)
    config = RoundConfig(campaign=tmp_path / "c", source=f"freihand:/data?token={CANARY}")
    open_campaign(config)
    assert CANARY not in (tmp_path / "c" / "config.json").read_text()
    open_campaign(config)
    with pytest.raises(InputError, match="source was"):
        open_campaign(config.model_copy(update={"source": "freihand:/other"}))


def test_a_process_that_decodes_is_given_no_secret(monkeypatch):
    """What a taken-over decoder could read of its own environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{CANARY}@host")
    for name in ("RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("LANG", "C.UTF-8")
    dismiss()
    with borrowed(Limits()) as worker:
        place, given = Path(f"/proc/{worker._process.pid}/environ"), b""
        while not given and worker._process.poll() is None:  # empty until the new program has begun
            given = place.read_bytes()
    dismiss()
    assert CANARY.encode() not in given
    assert {b"LANG=C.UTF-8", b"OMP_NUM_THREADS=1"} <= set(given.split(b"\0"))
