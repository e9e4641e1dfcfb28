"""laconic study, on studies that take no time."""

import json

import pytest

from laconic import studies
from laconic.studies import Findings, Row, Study, Table


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Two studies instead of the real ones; what their functions were given."""
    given = []

    def met(watcher, short, folder):
        given.append((short, folder))
        rows = [Row("size", "40×", "≥ 30×", "41×", True), Row("error", "1 %", "", "2 %", None)]
        return Findings(rows, [Table("figures", ["network", "bytes"], [["one", "12"]])])

    def missed(watcher, short, folder):
        return Findings([Row("size", "40×", "≥ 30×", "29×", False)])

    def own(watcher, inputs, folder):
        given.append(inputs)
        table = Table("own figures", ["network", "bytes"], [["mine", "345"]])
        return Findings([Row("size", "", "", "345", None)], [table])

    known = [
        Study("met", "a study that goes well", 3, met, own),
        Study("missed", "one not", 5, missed),
    ]
    monkeypatch.setattr(studies, "STUDIES", {study.name: study for study in known})
    (tmp_path / "studies" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return given


def test_the_studies_are_listed(laconic, asked):
    assert laconic("study", "--list").out == (
        "met: a study that goes well (about 3 minutes)\nmissed: one not (about 5 minutes)\n"
    )
    assert laconic("study", "--list", "--json").json == [
        {"name": "met", "summary": "a study that goes well"},
        {"name": "missed", "summary": "one not"},
    ]


def test_the_real_studies_are_listed(laconic):
    names = [study["name"] for study in laconic("study", "--list", "--json").json]
    assert {"lenet-300-100-deep-compression", "lenet5-deep-compression"} <= set(names)


def test_a_study_prints_its_rows_and_keeps_them(laconic, asked, tmp_path):
    ended = laconic("study", "met")
    assert ended.code == 0
    assert [line.split() for line in ended.out.splitlines()[-2:]] == [
        ["size", "40×", "≥", "30×", "41×", "yes"],
        ["error", "1", "%", "2", "%", "–"],
    ]
    kept = json.loads((tmp_path / "studies" / "results" / "met.json").read_text())
    assert (kept["study"], kept["command"]) == ("met", "laconic study met")
    markdown = (tmp_path / "studies" / "results" / "met.md").read_text()
    assert "| size | 40× | ≥ 30× | 41× | yes |" in markdown


def test_as_json_it_prints_a_list_of_rows(laconic, asked):
    assert laconic("study", "met", "--json").json == [
        {"claim": "size", "published": "40×", "goal": "≥ 30×", "ours": "41×", "met": True},
        {"claim": "error", "published": "1 %", "goal": "", "ours": "2 %", "met": None},
    ]


def test_a_goal_that_is_missed_ends_with_1(laconic, asked):
    ended = laconic("study", "missed", "--json")
    assert (ended.code, ended.json[0]["met"]) == (1, False)


def test_a_kept_result_is_printed_without_running(laconic, asked):
    first = laconic("study", "met", "--json")
    assert len(asked) == 1
    stored = laconic("study", "met", "--stored", "--json")
    assert (stored.code, stored.json) == (0, first.json)
    assert len(asked) == 1
    laconic("study", "missed")
    assert laconic("study", "missed", "--stored").code == 1


def test_a_short_study_is_not_kept(laconic, asked, tmp_path):
    assert laconic("study", "met", "--short", "--run-dir", tmp_path / "run").code == 0
    assert asked == [(True, tmp_path / "run")]
    assert list((tmp_path / "studies" / "results").iterdir()) == []


def test_a_study_that_goes_on_with_an_earlier_run_is_kept_with_the_seconds_of_both(
    laconic, asked, tmp_path
):
    place = tmp_path / "run"
    place.mkdir()
    (place / "study.json").write_text('{"command": "laconic study met", "seconds": 5000.0}')
    assert laconic("study", "met", "--run-dir", place).code == 0
    kept = json.loads((tmp_path / "studies" / "results" / "met.json").read_text())
    assert 5000 <= kept["seconds"] < 5100


def test_a_persons_own_files_are_compared_shown_and_not_kept(laconic, asked, tmp_path):
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for file in files:
        file.touch()
    ended = laconic("study", "met", "--input", files[0], "--input", files[1])
    assert (ended.code, asked) == (0, [files])
    assert ["mine", "345"] in [line.split() for line in ended.out.splitlines()]
    assert list((tmp_path / "studies" / "results").iterdir()) == []


def test_the_long_tables_of_a_whole_study_are_kept_and_not_printed(laconic, asked, tmp_path):
    assert "figures" not in laconic("study", "met").out
    assert "## figures" in (tmp_path / "studies" / "results" / "met.md").read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        pytest.param(
            ["met", "--short", "--input", __file__], 2,
            "--input is a form of its own: leave out --short, --scratch and --stored",
            id="own file, short",
        ),
        pytest.param(
            ["missed", "--input", __file__], 2,
            "the study missed has inputs of its own: leave out --input", id="no form for own files",
        ),
        pytest.param(
            ["missed", "--scratch"], 2,
            "the study missed makes no network smaller, so there is nothing to train from scratch:",
            id="nothing to train from scratch",
        ),
        pytest.param(
            ["met", "--stored", "--scratch"], 2, "leave out --scratch or --stored",
            id="kept, and from scratch",
        ),
        pytest.param(["met", "--input", "none.npz"], 2, "'none.npz' does not exist", id="no file"),
        pytest.param([], 2, "name a study; there are: met, missed", id="no name"),
        pytest.param(["all"], 2, "no study is named 'all'; there are: met, missed", id="unknown"),
        pytest.param(
            ["met", "--stored", "--short"], 2, "leave out --short or --stored", id="both forms"
        ),
        pytest.param(
            ["met", "--stored"], 1, "no result of met is kept; run laconic study met",
            id="nothing kept",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(laconic, asked, words, code, message):
    ended = laconic("study", *words)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert asked == []


def test_without_a_place_to_keep_the_result_nothing_is_run(laconic, asked, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("laconic.studies.study.__file__", str(tmp_path / "a/b/c/d/e.py"))
    ended = laconic("study", "met")
    assert (ended.code, asked) == (1, [])
    assert "run the command from a clone" in ended.err
