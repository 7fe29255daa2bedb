"""Which key signs cursors, and how the one that is kept gets to its place."""

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.config import Config, HttpConfig
from bridge.config.sections import IggyConfig, LocalLogConfig
from bridge.errors import StartupError
from bridge.process.files import CURSOR_KEY_FILE, cursor_key_of

GIVEN = "a key of sixteen characters or more"


def embedded(directory: Path) -> Config:
    return Config(local=LocalLogConfig(data_dir=str(directory)))


def test_a_key_that_is_given_is_taken_and_nothing_is_kept(tmp_path: Path) -> None:
    config = replace(embedded(tmp_path), http=HttpConfig(cursor_key=GIVEN))
    assert cursor_key_of(config) == GIVEN
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key = cursor_key_of(embedded(tmp_path))
    finally:
        os.umask(before)
    (file,) = tmp_path.iterdir()
    assert file.name == CURSOR_KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{key}\n"
    assert cursor_key_of(embedded(tmp_path)) == key
    assert len(key) >= 43, "256 bits"


def test_each_directory_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert cursor_key_of(embedded(tmp_path)) != cursor_key_of(embedded(tmp_path / "other"))


def test_on_iggy_nothing_is_kept(tmp_path: Path) -> None:
    config = replace(embedded(tmp_path), iggy=IggyConfig(connection_string="iggy://a:b@127.0.0.1:1"))
    assert cursor_key_of(config) != cursor_key_of(config)
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_is_cut_before_the_file_is_whole_leaves_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerLost(BaseException): ...

    def lose_power(_: Any) -> None:
        raise PowerLost

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lose_power)
        with pytest.raises(PowerLost):
            cursor_key_of(embedded(tmp_path))
    assert not (tmp_path / CURSOR_KEY_FILE).exists()
    key = cursor_key_of(embedded(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == [CURSOR_KEY_FILE]
    assert cursor_key_of(embedded(tmp_path)) == key


def test_a_full_disk_does_not_keep_the_bridge_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_space(_: Any) -> None:
        raise OSError(28, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_space)
        assert cursor_key_of(embedded(tmp_path))
    assert "cursor_key_not_kept" in capsys.readouterr().out
    assert not (tmp_path / CURSOR_KEY_FILE).exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"fifteen letters", b"\xff" * 40, b"x" * (64 * 1024 + 1)])
def test_a_file_that_holds_no_key_is_told_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / CURSOR_KEY_FILE
    file.write_bytes(content)
    with pytest.raises(StartupError, match=f"{CURSOR_KEY_FILE} in DATA_DIR"):
        cursor_key_of(embedded(tmp_path))
    assert file.read_bytes() == content


def test_a_key_that_others_may_read_is_used_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = cursor_key_of(embedded(tmp_path))
    (tmp_path / CURSOR_KEY_FILE).chmod(0o644)
    assert cursor_key_of(embedded(tmp_path)) == key
    assert "cursor_key_open_to_others" in capsys.readouterr().out
