"""Stages in order, from Python or from a TOML file, with a receipt each."""

from laconic.recipe.context import Context
from laconic.recipe.default import default_recipe
from laconic.recipe.recipe import Recipe, Stage, builtin_names, load_recipe, parse
from laconic.recipe.run import Watcher, run
from laconic.recipe.stages import STAGES

__all__ = [
    "STAGES",
    "Context",
    "Recipe",
    "Stage",
    "Watcher",
    "builtin_names",
    "default_recipe",
    "load_recipe",
    "parse",
    "run",
]
