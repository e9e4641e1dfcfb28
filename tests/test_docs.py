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


def test_the_recipes_of_the_readme_are_valid():
    from laconic.recipe import parse

    recipes = blocks(ROOT / "README.md", "toml")
    assert recipes
    for text in recipes:
        parse(text, "README.md")


def test_the_method_of_contributing_keeps_the_contract():
    import torch

    from laconic.represent import represent

    (body,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    names = {}
    code = (
        "import torch\nfrom torch import Tensor\n"
        "from laconic.represent import Grid, fitted, straight_through\n"
    )
    lines = [line.removeprefix("   ") for line in body.splitlines()]
    exec(compile(ast.parse(code + "\n".join(lines)), "CONTRIBUTING.md", "exec"), names)
    layer = torch.nn.Linear(4, 4)
    represent(layer, names["Binary"]())
    assert len(layer.weight.unique()) == 2


def test_the_figures_of_the_readme_are_the_kept_ones():
    script = ROOT / "scripts" / "readme.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/status.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / name).parent / target).exists(), target
