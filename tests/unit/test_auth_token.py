"""The token of Ray: nobody else's to read, made once, and used as Ray would."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from semihand.frames.errors import InputError
from semihand.rounds import auth_token
from semihand.rounds.auth_token import make_token, read_token
from semihand.rounds.session_folder import private_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own, an umask that takes nothing away, and no word about tokens."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    before = os.umask(0)
    yield tmp_path
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_token_is_its_owners_alone_whatever_the_umask(home):
    make_token()
    assert mode(home / ".ray" / "auth_token") == 0o600
    assert mode(home / ".ray") == 0o700
    assert len(read_token()) == 64
    assert [path.name for path in (home / ".ray").iterdir()] == ["auth_token"]


def test_a_token_is_made_once_and_never_the_same_twice(home):
    make_token()
    first = read_token()
    make_token()
    assert read_token() == first
    (home / ".ray" / "auth_token").unlink()
    make_token()
    assert read_token() != first


def test_of_many_who_make_it_at_once_one_does(home):
    def made(_):
        make_token()
        return read_token()

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(made, range(40)))) == 1


def test_rays_own_loader_reads_it(home):
    import subprocess
    import sys

    make_token()
    code = "from ray._raylet import AuthenticationTokenLoader as L; print(L.instance().get_raw_token(True))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == read_token()


@pytest.mark.parametrize("open_mode", [0o644, 0o640, 0o666, 0o602])
def test_what_ray_wrote_for_everybody_is_closed(home, open_mode):
    (home / ".ray").mkdir(mode=0o755)
    path = home / ".ray" / "auth_token"
    path.write_text("secret")
    path.chmod(open_mode)
    assert read_token() == "secret"
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700


@pytest.mark.parametrize(("shared", "refused"), [(0o444, True), (0o460, True), (0o440, False), (0o400, False)])
def test_what_is_not_ours_to_close_is_refused_by_its_mode(home, monkeypatch, shared, refused):
    path = home / "mounted"
    path.write_text("secret\n")
    path.chmod(shared)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    somebody = os.geteuid() + 1
    monkeypatch.setattr(auth_token.os, "geteuid", lambda: somebody)
    if refused:
        with pytest.raises(InputError, match=rf"{path} has mode 0{shared:o}.*RAY_AUTH_TOKEN_PATH"):
            read_token()
    else:
        assert read_token() == "secret"
    assert mode(path) == shared


def test_a_token_in_the_environment_needs_no_file(home, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    make_token()
    assert read_token() == "secret"
    assert not (home / ".ray").exists()


def test_a_named_file_is_where_it_is_made_and_looked_for(home, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "deep" / "token"))
    with pytest.raises(InputError, match=r"deep/token.*RAY_AUTH_TOKEN_PATH"):
        read_token()
    make_token()
    assert mode(home / "deep" / "token") == 0o600
    assert mode(home / "deep") == 0o700


def test_an_empty_token_is_refused_and_no_error_shows_one(home, monkeypatch):
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(" \n")
    with pytest.raises(InputError, match="is empty"):
        make_token()


def test_a_folder_that_cannot_be_made_is_named(home, monkeypatch):
    (home / "file").write_text("")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "file" / "token"))
    with pytest.raises(InputError, match=r"file/token: .*RAY_AUTH_TOKEN_PATH"):
        make_token()


def test_rays_folder_lies_in_one_that_nobody_else_enters(home, monkeypatch):
    made = private_folder(home)
    assert mode(home / f"semihand-{os.geteuid()}") == 0o700
    assert made == str(home / f"semihand-{os.geteuid()}" / "ray")
    monkeypatch.setenv("RAY_TMPDIR", "/elsewhere")
    assert private_folder(home) == "/elsewhere"


def test_a_folder_that_somebody_made_in_our_name_is_refused(home):
    (home / "theirs").mkdir()
    (home / f"semihand-{os.geteuid()}").symlink_to(home / "theirs")
    with pytest.raises(InputError, match=r"belongs to somebody else.*RAY_TMPDIR"):
        private_folder(home)


def test_a_place_where_no_folder_can_be_made_is_named(home):
    (home / "file").touch()
    with pytest.raises(InputError, match=r"file/semihand-\d+, Ray's temporary folder, cannot be made: Not a .*TMPDIR"):
        private_folder(home / "file")
