"""What may stand in a recipe, and what is said of what may not."""

import datetime
from importlib.metadata import EntryPoint

import pytest
from torch import nn

from laconic.errors import UsageError
from laconic.recipe import (
    STAGES,
    Recipe,
    Stage,
    builtin_names,
    load_recipe,
    parse,
    pruning,
    stages,
)


def test_a_recipe_in_toml_is_the_recipe_in_python():
    text = """
    seed = 3
    [[stage]]
    kind = "prune"
    sparsity = { "conv*" = 0.3, fc1 = 0.9 }
    [[stage]]
    kind = "fit"
    epochs = 2
    learning_rate = 1
    [[stage]]
    kind = "uniform"
    bits = 4
    axis = 0
    layers = ["fc1", "fc2"]
    """
    assert parse(text, "mine") == Recipe(
        (
            Stage("prune", {"sparsity": {"conv*": 0.3, "fc1": 0.9}}),
            Stage("fit", {"epochs": 2, "learning_rate": 1}),
            Stage("uniform", {"bits": 4, "axis": 0, "layers": ["fc1", "fc2"]}),
        ),
        seed=3,
        name="mine",
    )


@pytest.mark.parametrize("name", builtin_names())
def test_every_built_in_recipe_loads_by_its_name(name):
    assert load_recipe(name).name == name


def test_a_recipe_file_is_named_after_itself(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('[[stage]]\nkind = "fit"\nepochs = 1', encoding="utf-8")
    assert load_recipe(path) == Recipe((Stage("fit", {"epochs": 1}),), name="own.toml")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: None, id="a missing file"),
        pytest.param(lambda path: path.mkdir(), id="a directory"),
        pytest.param(lambda path: path.write_bytes(b"\xff\xfe"), id="bytes that are no text"),
    ],
)
def test_what_is_no_recipe_lists_the_built_in_ones(tmp_path, make):
    path = tmp_path / "x.toml"
    make(path)
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    assert "x.toml: neither a readable TOML file nor a built-in recipe" in str(caught.value)
    assert "deep-compression, deep-compression-trained, demo" in str(caught.value)


WRONG_TEXT = {
    "no TOML": ("seed = ", "mine is no valid TOML: Invalid value"),
    "TOML nested too deeply": ("a = " + "[" * 5000, "mine is no valid TOML: maximum recursion"),
    "an unknown key": ("epochs = 3", "mine: unknown keys ['epochs']; there are: seed, stage"),
    "no stages": ("seed = 1", "mine: a recipe needs at least one [[stage]]"),
    "one stage as a plain table": (
        '[stage]\nkind = "fit"',
        "mine: write each stage as a table under [[stage]]",
    ),
    "stages that are numbers": ("stage = [1]", "mine: write each stage as a table"),
    "a stage without kind": (
        "[[stage]]\nepochs = 1",
        f"mine, stage 1: the kind is None; there are: {', '.join(sorted(STAGES))}",
    ),
    "a kind that is a number": ("[[stage]]\nkind = 3", "mine, stage 1: the kind is 3; there are"),
    "an unknown stage": (
        '[[stage]]\nkind = "fit"\nepochs = 1\n[[stage]]\nkind = "squash"',
        f"mine, stage 2: no stage is named 'squash'; there are: {', '.join(sorted(STAGES))}",
    ),
    "a seed that is a text": ('seed = "one"\n[[stage]]\nkind = "fit"\nepochs = 1', "seed is 'one'"),
    "a seed that is true": ('seed = true\n[[stage]]\nkind = "fit"\nepochs = 1', "seed is True"),
    "a negative seed": ('seed = -1\n[[stage]]\nkind = "fit"\nepochs = 1', "seed is -1"),
    "a seed of a hundred digits": (
        f'seed = 1{"0" * 99}\n[[stage]]\nkind = "fit"\nepochs = 1',
        "a whole number from 0 to 2^63 - 1 is needed",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG_TEXT.values(), ids=WRONG_TEXT.keys())
def test_a_faulty_file_is_refused(text, message):
    with pytest.raises(UsageError) as caught:
        parse(text, "mine")
    assert message in str(caught.value)


TYPES = "a whole number or a table of whole numbers is needed"
WRONG_ARGUMENTS = {
    "an unknown argument": (
        "prune", {"sparsity": 0.5, "layer": "fc*"},
        "prune has no argument 'layer'; it has: examples, layers, saliency, scope, sparsity",
    ),
    "a missing argument": ("fit", {"learning_rate": 1e-3}, "fit needs the argument 'epochs'"),
    "a sparsity of 1.2": (
        "prune", {"sparsity": 1.2},
        "prune: sparsity 1.2 is outside [0, 1); did you mean 0.12?",
    ),
    "a sparsity of 1.2 in a table": ("prune", {"sparsity": {"a": 0.5, "b": 1.2}}, "1.2 is out"),
    "a sparsity that is no number": ("prune", {"sparsity": float("nan")}, "sparsity nan is"),
    "a sparsity of a hundred digits": ("prune", {"sparsity": 10**99}, "a number or a table"),
    "a text for a number": (
        "fit", {"epochs": "ten"}, "fit: epochs is 'ten'; a whole number is needed",
    ),
    "true for a number": ("fit", {"epochs": True}, "fit: epochs is True; a whole number"),
    "a fraction for a whole number": ("share", {"bits": 5.0}, f"share: bits is 5.0; {TYPES}"),
    "a number for layers": (
        "share", {"bits": 5, "layers": 3},
        "share: layers is 3; a text or a list of texts is needed",
    ),
    "numbers in the list of layers": ("share", {"bits": 5, "layers": ["a", 3]}, "a list of tex"),
    "no layers at all": ("share", {"bits": 5, "layers": []}, "share: layers is empty: []"),
    "an empty table": ("prune", {"sparsity": {}}, "prune: sparsity is empty: {}"),
    "a table in a table": ("prune", {"sparsity": {"a": {"b": 0.1}}}, "a table of numbers is ne"),
    "bits out of range in a table": ("share", {"bits": {"a": 5, "b": 99}}, "share: b: bits 99 is"),
    "a negative axis": ("uniform", {"bits": 4, "axis": -1}, "uniform: axis -1 is negative"),
    "an unknown start": (
        "share", {"bits": 4, "start": "random"},
        "share: no start is named 'random'; there are: linear, density, forgy",
    ),
    "an unknown scope": (
        "prune", {"sparsity": 0.5, "scope": "world"},
        "prune: no scope is named 'world'; there are: layer, global, class-uniform, class-dis",
    ),
    "a table with a global scope": (
        "prune", {"sparsity": {"a": 0.5}, "scope": "global"},
        "prune: a table of sparsities is by layer; scope 'global' contradicts it",
    ),
    "an unknown saliency": (
        "prune", {"sparsity": 0.5, "saliency": "luck"}, "prune: no saliency is named 'luck'; there",
    ),
    "a saliency without a name": (
        "prune", {"sparsity": 0.5, "saliency": {"seed": 3}}, "a table with its name as kind, not",
    ),
    "an unknown argument of a saliency": (
        "prune-n-m", {"saliency": {"kind": "random", "sed": 3}}, "random has no argument 'sed'; it",
    ),
    "a saliency of channels for weights": (
        "prune", {"sparsity": 0.5, "saliency": "l1"}, "scores channels; here weights go, by: magn",
    ),
    "no examples": ("prune", {"sparsity": 0.5, "examples": 0}, "looks at 0 examples; it needs at"),
    "a wrong mask": ("prune-n-m", {"n": 4, "m": 4}, "prune-n-m: 4:4 keeps 4 of every 4 weights"),
    "a wrong mask in a table": (
        "prune-blocks", {"sparsity": 0.5, "rows": {"a": 4, "b": 0}, "columns": 1},
        "prune-blocks: b: a block of 0 x 1 weights is none",
    ),
    "an unknown optimizer": ("fit", {"epochs": 1, "optimizer": "x"}, "no optimizer is named"),
    "an unknown schedule": ("fit", {"epochs": 1, "schedule": "x"}, "fit: no schedule is named"),
    "a negative learning rate": ("fit", {"epochs": 1, "learning_rate": -1}, "is not a positive"),
    "negative epochs": ("fit", {"epochs": -1}, "fit: epochs is -1; 1 or more are needed"),
    "a date": ("fit", {"epochs": datetime.date(2020, 1, 1)}, "a whole number is needed"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    WRONG_ARGUMENTS.values(),
    ids=WRONG_ARGUMENTS.keys(),
)
def test_faulty_arguments_are_refused_before_there_is_a_network(kind, arguments, message):
    with pytest.raises(UsageError) as caught:
        Stage(kind, arguments)
    assert message in str(caught.value)


def test_every_stage_has_a_documented_function():
    assert all(function.__doc__ for function in STAGES.values())


LAYERS = nn.ModuleDict(
    {"conv1": nn.Conv2d(1, 2, 3), "fc1": nn.Linear(2, 2), "fc2": nn.Linear(2, 2)}
)


def test_of_several_patterns_that_match_a_layer_the_last_one_counts():
    assert stages.by_layer(LAYERS, "*", {"bits": {"*": 8, "fc*": 5, "fc2": 3}}) == {
        "conv1.weight": {"bits": 8},
        "fc1.weight": {"bits": 5},
        "fc2.weight": {"bits": 3},
    }


def test_a_layer_needs_a_pattern_in_every_table_and_among_the_layers():
    tables = {"bits": {"conv1": 8, "fc*": 5}, "axis": {"fc*": 0}, "start": "linear"}
    assert stages.by_layer(LAYERS, ["conv*", "fc1"], tables | {"bits": {"fc1": 5}}) == {
        "fc1.weight": {"bits": 5, "axis": 0, "start": "linear"}
    }


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "laconic.stages")


def installing(monkeypatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(stages, "entry_points", lambda group: points if "stages" in group else [])


def test_another_package_can_add_a_stage(monkeypatch):
    installing(monkeypatch, point("twice", "laconic.recipe.pruning:prune_stage"))
    assert stages.installed({"fit"}) == {"twice": pruning.prune_stage}


@pytest.mark.parametrize(
    ("points", "message"),
    [
        pytest.param(
            [point("fit", "laconic.recipe.pruning:prune_stage")],
            "the entry point fit = 'laconic.recipe.pruning:prune_stage' takes a name that another",
            id="a built-in name",
        ),
        pytest.param(
            [point("a", "laconic.recipe.pruning:prune_stage")] * 2,
            "takes a name that another stage has already",
            id="a name twice",
        ),
        pytest.param(
            [point("a", "laconic.recipe.stages:ENTRY_POINTS")],
            "the entry point a = 'laconic.recipe.stages:ENTRY_POINTS' cannot be called",
            id="something that is no function",
        ),
    ],
)
def test_a_stage_of_another_package_is_refused(monkeypatch, points, message):
    installing(monkeypatch, *points)
    with pytest.raises(UsageError) as caught:
        stages.installed({"fit"})
    assert message in str(caught.value)
