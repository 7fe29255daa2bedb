"""What tests are told of the output of a bridge."""

from pathlib import Path

import pytest

from tests.support.bridge_process import BridgeProcess, lines_of

WHOLE = '{"timestamp":"2026-01-02T03:04:05Z","event":"ready"}\n'
LINE = {"timestamp": "2026-01-02T03:04:05Z", "event": "ready"}


def test_a_line_that_was_cut_is_none_and_hides_none_behind_it() -> None:
    assert lines_of(WHOLE) == [LINE]
    for cut in (WHOLE[:-1], WHOLE[:20], '{"time', "a word of the interpreter\n"):
        assert lines_of(cut) == [{"event": "", "text": cut}]
    assert lines_of(WHOLE[:30] + WHOLE) == [{"event": "", "text": WHOLE[:30]}, LINE]


def test_what_never_comes_is_told_with_the_end_of_the_output(tmp_path: Path) -> None:
    code = f"import sys; sys.stdout.write({WHOLE!r} + 'last words'); sys.exit(7)"
    with BridgeProcess(tmp_path, code=code) as bridge:
        assert bridge.until("ready") == LINE
        with pytest.raises(EOFError, match="last words"):
            bridge.until("never")
        assert bridge.ended() == 7
    assert bridge.events() == ["ready", ""]


def test_what_nobody_waits_for_holds_no_process_up(tmp_path: Path) -> None:
    code = f"import sys; sys.stdout.write({WHOLE!r} * 20_000); sys.stdout.flush()"
    with BridgeProcess(tmp_path, code=code) as bridge:
        assert bridge.process.wait(60) == 0
        assert bridge.ended() == 0
    assert len(bridge.lines) == 20_000
