import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from laconic.errors import DataError, UsageError
from laconic.train.array_task import ArrayTask
from laconic.zoo import resolve_model, resolve_task
from laconic.zoo.lenet import LeNet300

EXAMPLE = Path(__file__).parents[2] / "examples/own_task.py"


def write(path: Path, source: str) -> str:
    path.write_text(source)
    return str(path)


@pytest.mark.parametrize("text", ["zoo:lenet-300-100", "lenet-300-100"])
def test_a_zoo_model_is_found_with_and_without_prefix(text: str):
    assert isinstance(resolve_model(text), LeNet300)


@pytest.mark.parametrize("text", ["zoo:digits", "digits"])
def test_a_zoo_task_is_found_with_and_without_prefix(text: str):
    assert isinstance(resolve_task(text), ArrayTask)


def test_an_unknown_zoo_name_lists_the_names_there_are():
    with pytest.raises(UsageError, match="the zoo has no model 'vgg'; it has: lenet-300-100, len"):
        resolve_model("zoo:vgg")
    with pytest.raises(UsageError, match=r"no task 'imagenet'; it has: digits, mnist, ci"):
        resolve_task("imagenet")


def test_an_installed_module_is_imported():
    assert isinstance(resolve_model("laconic.zoo.lenet:LeNet300"), LeNet300)


def test_a_module_in_the_current_folder_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "network_of_a_person.py", "from torch.nn import Identity as Net")
    monkeypatch.chdir(tmp_path)
    path_before = list(sys.path)
    assert isinstance(resolve_model("network_of_a_person:Net"), nn.Identity)
    assert sys.path == path_before
    del sys.modules["network_of_a_person"]


def test_the_example_gives_a_network_and_a_task_that_fit():
    model, task = resolve_model(f"{EXAMPLE}:model"), resolve_task(f"{EXAMPLE}:task")
    inputs, targets = next(task.batches("train", seed=1))
    assert task.loss(model(inputs), targets).ndim == 0
    assert task.score(model(inputs), targets).shape == targets.shape
    assert model(task.example_input).shape == (1, 3)


def test_the_example_runs_by_itself():
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=True)
    name, _, percent = done.stdout.partition(" on the validation split: ")
    assert name == "error_percent"
    assert float(percent) < 10


def test_a_file_may_have_the_name_of_a_library(tmp_path: Path):
    path = write(tmp_path / "json.py", "from torch.nn import Identity as Net")
    assert isinstance(resolve_model(f"{path}:Net"), nn.Identity)
    assert sys.modules["json"] is json


def test_a_file_is_run_once_and_can_import_its_neighbour(tmp_path: Path):
    write(tmp_path / "neighbour_of_a_person.py", "from torch.nn import Identity")
    source = "from neighbour_of_a_person import Identity\nclass Net(Identity): ...\nmake = Net"
    path = write(tmp_path / "own.py", source)
    path_before = list(sys.path)
    assert type(resolve_model(f"{path}:Net")) is type(resolve_model(f"{path}:make"))
    assert sys.path == path_before
    del sys.modules["neighbour_of_a_person"]


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"there is no file .*own\.py"):
        resolve_model(f"{tmp_path}/own.py:model")


def test_a_missing_module_is_named():
    with pytest.raises(UsageError, match="importing no_such_package failed: ModuleNotFoundError"):
        resolve_model("no_such_package:model")


@pytest.mark.parametrize("text", [":model", ".:model", "..x:model"])
def test_a_strange_module_name_is_refused(text: str):
    with pytest.raises(UsageError, match=r"importing .* failed"):
        resolve_model(text)


def test_a_missing_attribute_lists_what_the_file_defines(tmp_path: Path):
    source = "from pathlib import Path\nsize = 3\ndef model(): ...\nclass Net: ..."
    path = write(tmp_path / "own.py", source)
    with pytest.raises(UsageError, match=r"there is no 'modl'; it defines: model, Net$"):
        resolve_model(f"{path}:modl")
    with pytest.raises(UsageError, match="size is a int, which cannot be called"):
        resolve_model(f"{path}:size")


def test_an_error_in_the_file_gives_its_line_and_leaves_no_module(tmp_path: Path):
    path = write(tmp_path / "own.py", "import torch\n\nimport no_such_library\n")
    before = set(sys.modules)
    with pytest.raises(UsageError, match=r"No module named 'no_such_library' \(.*own\.py, line 3"):
        resolve_task(f"{path}:task")
    assert set(sys.modules) == before


def test_a_syntax_error_in_the_file_is_reported(tmp_path: Path):
    path = write(tmp_path / "own.py", "def model(:\n")
    with pytest.raises(UsageError, match=r"SyntaxError: .*\(own\.py, line 1\)"):
        resolve_model(f"{path}:model")


def test_a_callable_that_needs_arguments_is_refused(tmp_path: Path):
    path = write(tmp_path / "own.py", "def model(width): ...")
    with pytest.raises(UsageError, match=r"without arguments .*'width'"):
        resolve_model(f"{path}:model")


def test_an_error_in_the_callable_gives_its_line(tmp_path: Path):
    path = write(tmp_path / "own.py", "def model():\n    return 1 / 0")
    with pytest.raises(
        UsageError, match=r"ZeroDivisionError: division by zero \(.*own\.py, line 2"
    ):
        resolve_model(f"{path}:model")


def test_an_error_of_laconic_in_the_callable_comes_through(tmp_path: Path):
    source = "from laconic.errors import DataError\ndef task(): raise DataError('no rows')"
    path = write(tmp_path / "own.py", source)
    with pytest.raises(DataError, match=r"^no rows$"):
        resolve_task(f"{path}:task")


def test_what_is_no_network_is_refused(tmp_path: Path):
    path = write(tmp_path / "own.py", "def model(): return 'net'")
    with pytest.raises(UsageError, match="gives a str, not a network; return a torch"):
        resolve_model(f"{path}:model")


def test_what_is_no_task_is_refused_with_the_members_it_lacks(tmp_path: Path):
    source = "class Mine:\n    metric = 'x'\n    def loss(self): ...\n    def batches(self): ..."
    path = write(tmp_path / "own.py", source)
    with pytest.raises(
        UsageError,
        match="Mine, which is no task: it has no higher_is_better, example_input, score;",
    ):
        resolve_task(f"{path}:Mine")


def test_resolving_a_zoo_model_draws_from_the_global_generator():
    torch.manual_seed(4)
    first = resolve_model("lenet5").fc2.weight
    torch.manual_seed(4)
    assert torch.equal(resolve_model("lenet5").fc2.weight, first)
