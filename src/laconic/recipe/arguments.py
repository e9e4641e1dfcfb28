"""What can be said of a stage's arguments before there is a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import GenericAlias
from typing import Any

from laconic.errors import UsageError
from laconic.measure.records import fits, wording


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The arguments of a stage function or of a Step: keyword-only, or all of a constructor's."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except NameError:
        # Names that were imported for type checkers alone: then there is nothing to check by.
        signature = inspect.signature(function)
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if isinstance(function, type) or parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def with_arguments_of(
    run: Callable[..., None], kind: str, step: Callable[..., Any]
) -> Callable[..., None]:
    """Let a stage that takes a step's arguments as ``**arguments`` show them as its own.

    Each may also be a table by pattern. Name and documentation are the step's.

    Args:
        run: the stage; changed and returned.
        kind: its name.
        step: a Step's class.
    """
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=_or_table(parameter))
        for parameter in parameters_of(step).values()
    ]
    signature = inspect.signature(run, eval_str=True)
    shared = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    run.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = kind, step.__doc__
    return run


def _or_table(parameter: inspect.Parameter) -> Any:
    own = parameter.annotation
    if own is inspect.Parameter.empty or isinstance(own, str):
        return Any
    return own | GenericAlias(dict, (str, own))


def check_arguments(kind: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Hold a stage's arguments against the signature of its function.

    Raises:
        UsageError: one is unknown, missing or of another type; the message says what there is.
    """
    known = parameters_of(function)
    for name in arguments:
        if name not in known:
            has = f"it has: {', '.join(sorted(known))}" if known else "it has none"
            raise UsageError(f"{kind} has no argument {name!r}; {has}")
    for name, parameter in known.items():
        if name not in arguments:
            if parameter.default is inspect.Parameter.empty:
                raise UsageError(f"{kind} needs the argument {name!r}")
            continue
        value, wanted = arguments[name], parameter.annotation
        if wanted is not inspect.Parameter.empty and not fits(value, wanted):
            raise UsageError(f"{kind}: {name} is {value!r}; {wording(wanted)} is needed")
        if isinstance(value, list | dict) and not value:
            raise UsageError(f"{kind}: {name} is empty: {value!r}; leave it out, or fill it")


def each_choice(arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Arguments without tables, so often that every value of every table comes up.

    Examples:
        >>> list(each_choice({"bits": {"conv*": 8, "fc*": 5}, "start": "linear"}))
        [{'bits': 8, 'start': 'linear'}, {'bits': 5, 'start': 'linear'}]
    """
    choices = {
        name: list(value.values()) if isinstance(value, dict) else [value]
        for name, value in arguments.items()
    }
    for row in range(max(map(len, choices.values()), default=1)):
        yield {name: values[min(row, len(values) - 1)] for name, values in choices.items()}


def check_choices(check: Callable[..., object], arguments: Mapping[str, Any]) -> None:
    """Call `check` with every choice; what it refuses in the only table is named by its pattern.

    Examples:
        >>> from laconic.prune import Prune
        >>> check_choices(Prune, {"sparsity": {"conv*": 0.3, "fc*": 1.2}})
        Traceback (most recent call last):
        ...
        laconic.errors.UsageError: fc*: sparsity 1.2 is outside [0, 1); did you mean 0.12?
    """
    tables = [list(value) for value in arguments.values() if isinstance(value, dict)]
    for row, choice in enumerate(each_choice(arguments)):
        try:
            check(**choice)
        except UsageError as error:
            if len(tables) != 1:
                raise
            raise UsageError(f"{tables[0][row]}: {error}") from error
