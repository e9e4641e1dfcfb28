"""Rooms import strictly downward, and the lower floors need NumPy alone (design, section 2)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import laconic

SOURCE = Path(laconic.__file__).parent
FLOOR_2 = {"saliency", "prune", "share", "quantize", "solve", "surgery", "distill", "dynamic"}
BASE = {"errors", "coding", "container", "represent"}
MAY_IMPORT = {
    "errors": set(),
    "coding": {"errors", "_native"},
    "container": {"errors", "coding"},
    "represent": {"errors"},
    **dict.fromkeys(FLOOR_2, BASE),
    "train": BASE | FLOOR_2,
    "pack": BASE | FLOOR_2 | {"runtime"},
    "runtime": {"errors", "coding", "container", "_native"},
    "measure": BASE | FLOOR_2 | {"train", "pack", "runtime"},
    "recipe": BASE | FLOOR_2 | {"train", "pack", "runtime", "measure"},
    "search": BASE | FLOOR_2 | {"train", "pack", "runtime", "measure", "recipe"},
    "report": {"errors", "measure"},
    "zoo": {"errors", "train"},
    "studies": BASE | FLOOR_2 | {"train", "pack", "runtime", "measure", "recipe", "report", "zoo"},
    "bench": BASE | {"train", "pack", "runtime", "measure", "report", "studies", "zoo"},
    "cli": None,
    "__main__": {"cli"},
    "__init__": None,
}
NUMPY_ALONE = ("errors", "coding", "container", "runtime")


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "laconic":
                found.update(f"laconic.{alias.name}" for alias in node.names)
    return found


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_downward_only(path):
    room = room_of(path)
    assert room in MAY_IMPORT, f"the room {room} has no floor in the design"
    allowed = MAY_IMPORT[room]
    if allowed is None:
        return
    rooms = {name.split(".")[1] for name in imports_of(path) if name.startswith("laconic.")}
    assert rooms - allowed - {room} == set()


@pytest.mark.parametrize("room", NUMPY_ALONE)
def test_a_low_room_names_no_library_but_numpy(room):
    allowed = set(sys.stdlib_module_names) | {"numpy", "laconic"}
    for path in FILES:
        if room_of(path) == room:
            foreign = {name.split(".")[0] for name in imports_of(path)} - allowed
            assert foreign == set(), path


def test_running_a_file_loads_neither_torch_nor_onnx():
    code = (
        "import sys, laconic, laconic.coding, laconic.container, laconic.runtime;"
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'scipy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
