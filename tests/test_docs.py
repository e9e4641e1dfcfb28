"""What the documents show runs, and the figures in them are the kept ones."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(path, language):
    return [
        body for found, body in BLOCK.findall(path.read_text(encoding="utf-8")) if found == language
    ]


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(ROOT / "README.md", "python"))
    assert "pack(net" in code
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "net.lac").stat().st_size < 4 * 7410


def test_the_python_of_the_page_on_running_runs(tmp_path, monkeypatch, capsys):
    import torch

    from laconic.pack import pack

    monkeypatch.chdir(tmp_path)
    pack(torch.nn.Linear(64, 10), "net.lac", example_input=torch.zeros(1, 64))
    names = {}
    exec(
        compile("\n".join(blocks(ROOT / "docs/running.md", "python")), "running.md", "exec"), names
    )
    assert names["outputs"]["output"].shape == (5, 10)
    assert "Value(name='input'" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["README.md", "docs/pruning.md", "docs/quantization.md"])
def test_the_recipes_of_a_page_are_valid(name):
    from laconic.recipe import parse

    recipes = blocks(ROOT / name, "toml")
    assert recipes
    for text in recipes:
        parse(text, name)


@pytest.mark.parametrize("name", ["docs/pruning.md", "docs/surgery.md"])
def test_the_python_of_a_page_runs(name):
    code = blocks(ROOT / name, "python")
    assert code
    for text in code:
        exec(compile(text, name, "exec"), {})


def binary():
    """The class that CONTRIBUTING.md shows."""
    (body,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    names = {}
    code = (
        "import torch\nfrom torch import Tensor\n"
        "from laconic.represent import Grid, fitted, straight_through\n"
    )
    lines = [line.removeprefix("   ") for line in body.splitlines()]
    exec(compile(ast.parse(code + "\n".join(lines)), "CONTRIBUTING.md", "exec"), names)
    return names["Binary"]


WEIGHTS = {
    "positive and negative": [[0.5, -1.5], [2.0, -0.25]],
    "zeros of both signs": [[0.0, -0.0], [0.5, -1.5]],
    "no element": [[], []],
    "one element": [[-2.5]],
    "all zero": [[0.0, 0.0]],
    "small numbers": [[1e-7, -3e-7, 2e-6]],
    "large numbers": [[6e4, -6.1e4, 6.2e4]],
}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("values", WEIGHTS.values(), ids=WEIGHTS)
def test_the_method_of_contributing_keeps_the_contract(values, dtype, monkeypatch):
    import torch

    from laconic import quantize
    from laconic.train import step_names

    monkeypatch.syspath_prepend(str(ROOT / "tests" / "contracts"))
    from check_grid import check_grid
    from check_step import check_step

    monkeypatch.setitem(quantize.STEPS, "binary", binary())
    step_names.cache_clear()
    try:
        weight = torch.tensor(values, dtype=getattr(torch, dtype))
        check_step(step_names()["binary"], weight)
        check_grid(step_names()["binary"], weight)
    finally:
        step_names.cache_clear()


def test_the_method_of_contributing_has_two_values():
    import torch

    step = binary()()
    step.fit(torch.tensor([1.0, -3.0, 2.0]))
    assert step(torch.tensor([1.0, -3.0, 2.0])).tolist() == [2.0, -2.0, 2.0]


def test_the_figures_of_the_readme_are_the_kept_ones():
    script = ROOT / "scripts" / "readme.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "docs/status.md", "docs/running.md"]
)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / name).parent / target).exists(), target
