"""Where a study's result is kept, and in what form."""

import json
from dataclasses import replace

import pytest

from laconic.errors import DataError, UsageError
from laconic.recipe import Watcher
from laconic.studies import (
    Findings,
    Result,
    Row,
    Study,
    Table,
    perform,
    read_result,
    results_folder,
    write_result,
)
from laconic.studies.study import as_markdown

RESULT = Result(
    "tiny",
    "laconic study tiny",
    90.0,
    {"python": "3.11", "torch": "2"},
    [Row("size", "40×", "≥ 30×", "41×", True), Row("error", "1 %", "≤ 1 %", "2 %", False)],
    [Table("Sizes", ["network", "bytes"], [["one", "12"], ["two", "345"]])],
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """studies/results of the present folder."""
    (tmp_path / "studies" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "studies" / "results"


def test_a_result_is_read_as_it_was_written(folder):
    write_result(RESULT)
    assert read_result("tiny") == RESULT
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.json", "tiny.md"]


def test_a_result_is_a_table_in_markdown():
    rows = [*RESULT.rows, Row("left", "", "", "3", None)]
    assert as_markdown(replace(RESULT, rows=rows)) == (
        "# tiny\n\n"
        "`laconic study tiny`, 1.5 minutes; python 3.11, torch 2\n\n"
        "| claim | published | goal | ours | met |\n"
        "|---|---|---|---|---|\n"
        "| size | 40× | ≥ 30× | 41× | yes |\n"
        "| error | 1 % | ≤ 1 % | 2 % | **no** |\n"
        "| left |  |  | 3 | – |\n"
        "\n## Sizes\n\n"
        "| network | bytes |\n"
        "|---|---:|\n"
        "| one | 12 |\n"
        "| two | 345 |\n"
    )


def test_pictures_lie_beside_the_result_and_not_in_it(folder):
    write_result(replace(RESULT, pictures={"speed": "<svg></svg>\n"}))
    assert (folder / "tiny-speed.svg").read_text() == "<svg></svg>\n"
    assert (folder / "tiny.md").read_text().endswith("\n\n![speed](tiny-speed.svg)\n")
    assert read_result("tiny") == RESULT


def test_a_result_that_was_kept_before_there_were_tables_is_read(folder):
    write_result(RESULT)
    path = folder / "tiny.json"
    kept = json.loads(path.read_text())
    del kept["tables"]
    path.write_text(json.dumps(kept))
    assert read_result("tiny") == replace(RESULT, tables=[])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "Expecting value", id="nothing"),
        pytest.param("[]", "indices must be integers", id="a list"),
        pytest.param("{}", "KeyError('rows')", id="an empty table"),
        pytest.param('{"rows": [{}]}', "claim", id="a row without claim"),
        pytest.param(
            json.dumps(
                {"study": "tiny", "command": "", "seconds": 1, "versions": {}, "rows": [
                    {"claim": "a", "published": "", "goal": "", "ours": "", "met": "perhaps"}
                ]}
            ),
            "met is 'perhaps'; true or false or nothing is needed",
            id="a claim that is perhaps met",
        ),
        pytest.param(
            json.dumps(
                {"study": "tiny", "command": "", "seconds": 1, "versions": {}, "rows": [],
                 "tables": [{"title": "Sizes", "header": [], "lines": [[1]]}]}
            ),
            "lines is [[1]]; a list of lists of texts is needed",
            id="a table of numbers",
        ),
    ],
)  # fmt: skip
def test_a_damaged_result_is_refused(folder, text, message):
    (folder / "tiny.json").write_text(text)
    with pytest.raises(DataError) as caught:
        read_result("tiny")
    assert "tiny.json is no result of a study: " in str(caught.value)
    assert message in str(caught.value)


def test_a_result_that_is_not_kept_says_how_to_get_it(folder):
    with pytest.raises(DataError, match="no result of tiny is kept; run laconic study tiny"):
        read_result("tiny")


def test_without_a_clone_there_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("laconic.studies.study.__file__", str(tmp_path / "a/b/c/d/e.py"))
    with pytest.raises(DataError, match="run the command from a clone"):
        results_folder()


def test_in_a_clone_the_folder_is_found_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert results_folder().parts[-2:] == ("studies", "results")


def given_rows(given):
    def rows(watcher, short, folder):
        given.append((short, folder, folder.is_dir()))
        return Findings(RESULT.rows, RESULT.tables)

    return rows


def test_a_study_works_in_a_folder_that_goes_away():
    given = []
    result = perform(Study("tiny", "", 1, given_rows(given)), Watcher(), short=False, run_dir=None)
    ((short, folder, was_there),) = given
    assert (short, was_there, folder.exists()) == (False, True, False)
    assert (result.study, result.command) == ("tiny", "laconic study tiny")
    assert (result.rows, result.tables) == (RESULT.rows, RESULT.tables)
    assert result.seconds >= 0


def test_a_study_works_in_the_folder_that_is_asked_for(tmp_path):
    given = []
    study = Study("tiny", "", 1, given_rows(given))
    result = perform(study, Watcher(), short=True, run_dir=tmp_path)
    assert given == [(True, tmp_path, True)]
    assert tmp_path.exists()
    assert result.command == "laconic study tiny --short"


def test_a_study_may_work_on_a_persons_own_files(tmp_path):
    given = []

    def compare_own(watcher, inputs, folder):
        given.append((inputs, folder))
        return Findings(RESULT.rows)

    study = Study("tiny", "", 1, given_rows([]), compare_own)
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    run_dir = tmp_path / "run"
    result = perform(study, Watcher(), short=False, run_dir=run_dir, inputs=files)
    assert given == [(files, run_dir)]
    assert result.command == f"laconic study tiny --input {files[0]} --input {files[1]}"


def test_a_study_without_a_form_for_own_files_refuses_them(tmp_path):
    study = Study("tiny", "", 1, given_rows([]))
    with pytest.raises(UsageError, match="the study tiny has inputs of its own: leave out --input"):
        perform(study, Watcher(), short=False, run_dir=None, inputs=[tmp_path / "a.npz"])
