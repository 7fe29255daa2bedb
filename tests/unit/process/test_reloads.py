"""Claims of `process.reloads`: what changed is read again, once, and what is broken leaves the old in force."""

import asyncio
from pathlib import Path

import pytest

from bridge.config import Config
from bridge.errors import ConfigError
from bridge.process.reloads import Reloads, reloadable_files
from bridge.process.shutdown import Stop
from bridge.telemetry.process_metrics import ReloadMetrics
from tests.support.figures import figure

FAR_S = 3600.0


class Held:
    """What is made of a file: its text, as long as it is not "broken"."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        self.reads = 0
        self.error: Exception = ConfigError(("x: broken",))

    async def load(self) -> None:
        self.reads += 1
        text = await asyncio.to_thread(self.path.read_text)
        if text == "broken":
            raise self.error
        self.text = text


async def held(tmp_path: Path) -> tuple[Held, Reloads, ReloadMetrics]:
    path = tmp_path / "keys"
    path.write_text("old")
    metrics = ReloadMetrics()
    reloads = Reloads({"keys": (str(path),)}, metrics)
    await reloads.begin()
    made = Held(path)
    reloads.add("keys", made.load)
    return made, reloads, metrics


async def look_twice(reloads: Reloads) -> None:
    await reloads.look()
    await reloads.look()


async def test_what_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    made, reloads, _ = await held(tmp_path)
    await look_twice(reloads)
    assert made.reads == 0


async def test_what_has_changed_is_read_once_when_it_has_come_to_rest(tmp_path: Path) -> None:
    made, reloads, metrics = await held(tmp_path)
    made.path.write_text("half of the")
    await reloads.look()
    made.path.write_text("half of the new one and the rest")
    await reloads.look()
    assert made.reads == 0
    await look_twice(reloads)
    assert (made.reads, made.text) == (1, "half of the new one and the rest")
    assert figure(metrics, "bridge_reloads_total", what="keys", outcome="ok") == 1


async def test_a_change_before_the_first_look_is_one(tmp_path: Path) -> None:
    made, reloads, _ = await held(tmp_path)
    made.path.write_text("newer")
    await look_twice(reloads)
    assert made.text == "newer"


async def test_a_link_that_leads_elsewhere_is_a_change_as_kubernetes_makes_it(tmp_path: Path) -> None:
    for name, text in (("..1", "old"), ("..2", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    path = tmp_path / "keys"
    path.symlink_to("..data/keys")
    reloads = Reloads({"keys": (str(path),)}, ReloadMetrics())
    await reloads.begin()
    made = Held(path)
    reloads.add("keys", made.load)
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    await look_twice(reloads)
    assert made.text == "new"


@pytest.mark.parametrize("error", [ConfigError(("x: broken",)), OSError(5, "disk"), ValueError("odd")])
async def test_a_broken_file_leaves_the_old_in_force_is_told_once_and_the_next_change_is_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    made, reloads, metrics = await held(tmp_path)
    made.error = error
    made.path.write_text("broken")
    await look_twice(reloads)
    await look_twice(reloads)
    assert (made.reads, made.text) == (1, "old")
    assert figure(metrics, "bridge_reloads_total", what="keys", outcome="failed") == 1
    assert figure(metrics, "bridge_reload_stale", what="keys") == 1
    assert capsys.readouterr().out.count("reload_failed") == 1
    made.path.write_text("mended")
    await look_twice(reloads)
    assert made.text == "mended"
    assert figure(metrics, "bridge_reload_stale", what="keys") == 0


async def test_a_file_that_is_gone_and_comes_back_is_tried_again(tmp_path: Path) -> None:
    made, reloads, metrics = await held(tmp_path)
    made.path.unlink()
    await look_twice(reloads)
    assert figure(metrics, "bridge_reload_stale", what="keys") == 1
    made.path.write_text("back")
    await look_twice(reloads)
    assert made.text == "back"


async def test_asked_for_it_is_read_changed_or_not_and_not_again_at_the_next_look(tmp_path: Path) -> None:
    made, reloads, _ = await held(tmp_path)
    made.path.write_text("newer")
    await reloads.reload()
    await look_twice(reloads)
    await look_twice(reloads)
    assert (made.reads, made.text) == (1, "newer")


async def test_of_several_one_is_reloaded_at_a_time_and_a_broken_one_does_not_hold_up_the_next(
    tmp_path: Path,
) -> None:
    (tmp_path / "x").touch()
    told: list[str] = []

    async def first() -> None:
        told.append("first begins")
        await asyncio.sleep(0)
        told.append("first ends")
        raise ConfigError(("broken",))

    async def second() -> None:
        told.append("second")

    files = (str(tmp_path / "x"),)
    reloads = Reloads({"first": files, "second": files}, ReloadMetrics())
    await reloads.begin()
    reloads.add("first", first)
    reloads.add("second", second)
    reloads.add("not configured", second)
    await reloads.reload()
    assert told == ["first begins", "first ends", "second"]


async def test_a_hangup_reloads_and_so_does_a_parents_word_and_neither_ends_the_process(
    tmp_path: Path,
) -> None:
    made, reloads, _ = await held(tmp_path)
    read = asyncio.Event()

    async def load() -> None:
        await made.load()
        read.set()

    reloads.add("keys", load)
    stop = Stop()
    stop.listen(reload=reloads.ask)
    running = asyncio.create_task(reloads.run(interval_s=FAR_S))
    stop.signalled("SIGHUP")
    await read.wait()
    read.clear()
    stop.reload()
    await read.wait()
    running.cancel()
    assert made.reads == 2
    assert not stop.asked.is_set()


async def test_it_looks_for_changes_by_itself(tmp_path: Path) -> None:
    made, reloads, _ = await held(tmp_path)
    read = asyncio.Event()

    async def load() -> None:
        read.set()

    reloads.add("keys", load)
    made.path.write_text("newer")
    running = asyncio.create_task(reloads.run(interval_s=0.001))
    await read.wait()
    running.cancel()


def test_where_nothing_is_named_nothing_is_reloaded_and_a_parents_word_is_none() -> None:
    assert reloadable_files(Config()) == {}
    Stop().reload()
