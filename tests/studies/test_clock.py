"""The seconds of a study that was interrupted."""

import json

import pytest

from laconic.errors import DataError, UsageError
from laconic.recipe import Watcher
from laconic.studies import clock as module
from laconic.studies.clock import Clock

COMMAND = "laconic study tiny"


@pytest.fixture
def now(monkeypatch):
    """The time, which stands still until a test moves it."""
    place = {"now": 100.0}
    monkeypatch.setattr(module.time, "perf_counter", lambda: place["now"])
    return place


def test_parts_of_a_run_add_up(tmp_path, now):
    first = Clock(tmp_path, COMMAND)
    now["now"] += 40
    first.write()
    now["now"] += 7  # lost: killed before the next record
    second = Clock(tmp_path, COMMAND)
    now["now"] += 2
    assert second.seconds == 42.0


def test_whoever_watches_keeps_the_record_up_to_date(tmp_path, now):
    told = []
    clock = Clock(tmp_path, COMMAND)
    watcher = clock.watching(Watcher(on_progress=told.append))
    for seconds, recorded in ((3, 0.0), (3, 6.0), (1, 6.0)):
        now["now"] += seconds
        watcher.on_progress(seconds)
        watcher.on_receipt(None)
        assert json.loads((tmp_path / "study.json").read_text())["seconds"] == recorded
    assert told == [3, 3, 1]


def test_controls_from_scratch_go_on_with_what_was_found_without_them(tmp_path, now):
    Clock(tmp_path, COMMAND)
    Clock(tmp_path, f"{COMMAND} --scratch")
    with pytest.raises(UsageError, match=r"holds laconic study tiny --scratch, not laconic study"):
        Clock(tmp_path, COMMAND)


def test_a_folder_of_another_study_or_of_something_else_is_refused(tmp_path):
    Clock(tmp_path / "a", COMMAND)
    with pytest.raises(UsageError, match="a holds laconic study tiny, not laconic study other"):
        Clock(tmp_path / "a", "laconic study other")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").touch()
    with pytest.raises(UsageError, match="b holds something else than laconic study tiny"):
        Clock(tmp_path / "b", COMMAND)


@pytest.mark.parametrize("text", ["", "[]", '{"command": "laconic study tiny"}', "{"])
def test_a_damaged_record_is_refused(tmp_path, text):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(DataError, match=r"study\.json is damaged"):
        Clock(tmp_path, COMMAND)
