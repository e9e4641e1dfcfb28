"""From the words of the command line to a network or a task."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from laconic.errors import LaconicError, UsageError
from laconic.train.task import Task
from laconic.zoo.models import MODELS
from laconic.zoo.tasks import TASKS

_TASK_MEMBERS = ("metric", "higher_is_better", "example_input", "batches", "loss", "score")


def resolve_model(text: str) -> nn.Module:
    """The network that `text` names: ``zoo:lenet5`` (or ``lenet5``), ``package.module:callable``
    or ``path/to/file.py:callable``.

    The callable takes no arguments and returns the network; a class that can be made without
    arguments is one. A file is run once a process, under a private module name; other files of
    its folder can be imported by it.

    Raises:
        UsageError: the name, file, module or callable does not exist or fails, or what it
            returns is no ``torch.nn.Module``.

    Examples:
        >>> sum(weight.numel() for weight in resolve_model("zoo:lenet5").parameters())
        431080
        >>> resolve_model("zoo:lenet6")
        Traceback (most recent call last):
        ...
        laconic.errors.UsageError: the zoo has no model 'lenet6'; it has: lenet-300-100, lenet5, \
lenet5-wide, resnet20, resnet32, resnet44, resnet56, resnet110, resnet20-wide, \
resnet20-projection, ptb-lstm, vgg-small
    """
    made = _make(text, MODELS, "model")
    if not isinstance(made, nn.Module):
        raise UsageError(
            f"{text} gives a {type(made).__name__}, not a network; return a torch.nn.Module"
        )
    return made


def resolve_task(text: str) -> Task:
    """The task that `text` names: ``digits`` (or ``zoo:digits``), ``package.module:callable`` or
    ``path/to/file.py:callable``; see `resolve_model`.

    Raises:
        UsageError: as for `resolve_model`, or a member of `Task` is missing; the message names it.

    Examples:
        >>> resolve_task("digits").metric
        'error_percent'
    """
    made = _make(text, TASKS, "task")
    missing = [name for name in _TASK_MEMBERS if not hasattr(made, name)]
    if missing:
        raise UsageError(
            f"{text} gives a {type(made).__name__}, which is no task: it has no"
            f" {', '.join(missing)}; see laconic.train.task.Task"
        )
    return made  # type: ignore[no-any-return]


def _make(text: str, registry: Mapping[str, Callable[[], Any]], kind: str) -> Any:
    place, colon, name = text.rpartition(":")
    if not colon or place == "zoo":
        if name not in registry:
            raise UsageError(f"the zoo has no {kind} {name!r}; it has: {', '.join(registry)}")
        return registry[name]()
    is_file = place.endswith(".py")
    module = _load_file(text, Path(place)) if is_file else _load_module(text, place)
    maker = getattr(module, name, None)
    if not callable(maker):
        raise UsageError(f"{text}: {_absence(module, name)}")
    try:
        inspect.signature(maker).bind()
    except TypeError as error:
        raise UsageError(
            f"{text} cannot be called without arguments ({error}); name a function or class that"
            " can"
        ) from error
    try:
        return maker()
    except LaconicError:
        raise
    except Exception as error:
        raise UsageError(f"{text} failed when called: {_described(error)}") from error


def _absence(module: ModuleType, name: str) -> str:
    """What is wrong with ``module.name``, and what could have been meant."""
    if hasattr(module, name):
        found = type(getattr(module, name)).__name__
        return f"{name} is a {found}, which cannot be called; name a function or a class"
    defined = [
        other
        for other, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    return f"there is no {name!r}; it defines: {', '.join(defined) or 'nothing to call'}"


def _load_module(text: str, name: str) -> ModuleType:
    try:
        # As `python -m` does: modules in the folder where the command was typed are found.
        with _also_importing_from(Path.cwd()):
            return importlib.import_module(name)
    except Exception as error:
        raise UsageError(f"{text}: importing {name} failed: {_described(error)}") from error


def _load_file(text: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{text}: there is no file {path}")
    absolute = path.resolve()
    # A name of the file's own: `json.py` of a person must not stand for the library's json. It is
    # entered in sys.modules, because dataclasses and pickling look their module up there.
    name = f"laconic_file_{hashlib.sha256(str(absolute).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, absolute)
    if spec is None or spec.loader is None:
        raise UsageError(f"{text}: Python cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _also_importing_from(absolute.parent):
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"{text}: importing {path} failed: {_described(error)}") from error
    return module


@contextmanager
def _also_importing_from(folder: Path) -> Iterator[None]:
    """Puts the folder last on the import path for a while, so that it hides no library."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _described(error: Exception) -> str:
    """Type, message and the place in the code where it was raised."""
    message = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{message} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else message
