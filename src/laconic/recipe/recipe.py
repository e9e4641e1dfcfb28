"""A recipe: stages in order, from Python or from a TOML file."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from laconic.errors import UsageError
from laconic.measure.records import fits
from laconic.recipe.arguments import check_arguments, parameters_of
from laconic.recipe.stages import CHECKS, FILES, STAGES


@dataclass(frozen=True)
class Stage:
    """One stage: a name from `STAGES` and the arguments of that function.

    Raises:
        UsageError: the kind is unknown, or an argument is unknown, missing, of another type or
            out of its range.

    Examples:
        >>> Stage("prune", {"sparsity": 0.9, "layer": "fc*"})
        Traceback (most recent call last):
        ...
        laconic.errors.UsageError: prune has no argument 'layer'; it has: examples, layers, \
saliency, scope, sparsity
    """

    kind: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in STAGES:
            names = ", ".join(sorted(STAGES))
            raise UsageError(f"no stage is named {self.kind!r}; there are: {names}")
        function = STAGES[self.kind]
        check_arguments(self.kind, function, self.arguments)
        if self.kind not in CHECKS:
            return
        try:
            CHECKS[self.kind](**self.with_defaults)
        except UsageError as error:
            raise UsageError(f"{self.kind}: {error}") from error

    @property
    def with_defaults(self) -> dict[str, Any]:
        """The arguments, with the defaults of those that are not given."""
        known = parameters_of(STAGES[self.kind])
        return {name: parameter.default for name, parameter in known.items()} | self.arguments


@dataclass(frozen=True)
class Recipe:
    """Stages in order, and the seed that makes a run repeatable.

    Raises:
        UsageError: there is no stage, or the seed is no whole number from 0 to 2^63 - 1.
    """

    stages: tuple[Stage, ...]
    seed: int = 0
    name: str = "recipe"

    def __post_init__(self) -> None:
        if not self.stages:
            raise UsageError(f"{self.name}: a recipe needs at least one [[stage]]")
        if not fits(self.seed, int) or self.seed < 0:
            raise UsageError(
                f"{self.name}: seed is {self.seed!r}; a whole number from 0 to 2^63 - 1 is needed"
            )

    def as_json(self) -> list[dict[str, Any]]:
        """The stages as JSON data; two runs with equal data do the same."""
        data = [{"kind": stage.kind, **stage.arguments} for stage in self.stages]
        try:
            loaded: list[dict[str, Any]] = json.loads(json.dumps(data))
        except TypeError as error:
            raise UsageError(
                f"{self.name}: arguments are texts, numbers and tables: {error}"
            ) from error
        return loaded

    def contents(self) -> dict[str, str]:
        """File that a stage reads → SHA-256 of what is in it."""
        paths = [
            Path(stage.with_defaults[name])
            for stage in self.stages
            for name in FILES.get(stage.kind, ())
        ]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def parse(text: str, name: str) -> Recipe:
    """A recipe from TOML.

    Args:
        text: ``seed = 0`` and a list of ``[[stage]]`` tables, each with ``kind`` and arguments.
        name: for messages.

    Raises:
        UsageError: no valid TOML, an unknown key, stage or argument.

    Examples:
        >>> parse('[[stage]]\\nkind = "prune"\\nsparsity = 0.9', "mine").stages
        (Stage(kind='prune', arguments={'sparsity': 0.9}),)
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{name} is no valid TOML: {error}") from error
    unknown = set(data) - {"seed", "stage"}
    if unknown:
        raise UsageError(f"{name}: unknown keys {sorted(unknown)}; there are: seed, stage")
    seed, tables = data.get("seed", 0), data.get("stage", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise UsageError(f"{name}: write each stage as a table under [[stage]]")
    stages = []
    for number, table in enumerate(tables, 1):
        arguments = dict(table)
        kind = arguments.pop("kind", None)
        if not isinstance(kind, str):
            listed = ", ".join(sorted(STAGES))
            raise UsageError(f"{name}, stage {number}: the kind is {kind!r}; there are: {listed}")
        try:
            stages.append(Stage(kind, arguments))
        except UsageError as error:
            raise UsageError(f"{name}, stage {number}: {error}") from error
    return Recipe(tuple(stages), seed, name)


def builtin_names() -> list[str]:
    """Names of the recipes that come with laconic."""
    folder = resources.files("laconic.recipe") / "builtin"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml"))


def load_recipe(source: str | os.PathLike[str]) -> Recipe:
    """A built-in recipe by its name, or one from a TOML file.

    Raises:
        UsageError: neither a built-in name nor a readable file.
    """
    if str(source) in builtin_names():
        folder = resources.files("laconic.recipe") / "builtin"
        return parse((folder / f"{source}.toml").read_text(encoding="utf-8"), str(source))
    try:
        text = Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        listed = ", ".join(builtin_names())
        raise UsageError(
            f"{source}: neither a readable TOML file nor a built-in recipe ({listed})"
        ) from error
    return parse(text, Path(source).name)
