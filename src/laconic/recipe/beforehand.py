"""What is checked before the first stage, so that no training is lost to a slip of the pen."""

from __future__ import annotations

import copy
import os
import traceback
from functools import cache
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from laconic.errors import LaconicError, PatternError, UnsupportedError, UsageError
from laconic.recipe.context import Arguments, by_layer
from laconic.recipe.recipe import Recipe
from laconic.recipe.stages import KEEP_SHAPES, LENGTHS, PATTERNS, REHEARSALS
from laconic.train import Task
from laconic.train.evaluate import placed
from laconic.train.loop import count_batches


def check_patterns(model: nn.Module, task: Task, recipe: Recipe) -> None:
    """Let every pattern of every stage find its layers, behind those that earlier stages remove.

    Masks are tried too, up to the first stage that cuts: whether a layer can have so many zeros,
    in such groups, does not depend on the weights, nor does how many channels can go.

    Raises:
        PatternError: one finds none; the message lists the layers and names the stage.
        UsageError: the tables of a stage have no layer in common, a layer cannot be removed, or
            cannot be pruned so.
    """
    shapes_known = True
    for number, stage in enumerate(recipe.stages, 1):
        try:
            for arguments in PATTERNS.get(stage.kind, _no_patterns)(stage.arguments):
                tables = {key: value for key, value in arguments.items() if key != "layers"}
                by_layer(model, arguments.get("layers", "*"), tables)
            if stage.kind in REHEARSALS and (shapes_known or stage.kind == "remove-layers"):
                model = copied(model)
                REHEARSALS[stage.kind](model, task, **stage.with_defaults)
            shapes_known &= stage.kind in KEEP_SHAPES
        except PatternError as error:
            error.args = (f"stage {number} ({stage.kind}): {error}",)
            raise
        except UsageError as error:
            raise UsageError(f"stage {number} ({stage.kind}): {error}") from error


def _no_patterns(arguments: Arguments) -> list[Arguments]:
    return []


def check_order(recipe: Recipe) -> None:
    """Refuse to go back to a point that nothing keeps.

    Raises:
        UsageError: with the number of the stage.
    """
    keeps = False
    for number, stage in enumerate(recipe.stages, 1):
        keeps |= "keep_step" in stage.arguments
        if stage.kind == "rewind" and stage.arguments.get("to") == "kept" and not keeps:
            raise UsageError(
                f"stage {number} (rewind): no stage before keeps a point; write keep_step = 500, "
                "say, into the stage fit that passes it"
            )


def check_lengths(task: Task, recipe: Recipe) -> None:
    """Refuse a schedule that goes on when its training is over.

    Raises:
        UsageError: with the number of the stage.
    """
    steps = cache(lambda: count_batches(task, recipe.seed))
    for number, stage in enumerate(recipe.stages, 1):
        if stage.kind not in LENGTHS:
            continue
        try:
            LENGTHS[stage.kind](steps, **stage.with_defaults)
        except UsageError as error:
            raise UsageError(f"stage {number} ({stage.kind}): {error}") from error


def check_task(model: nn.Module, task: Task, fabric: Fabric) -> None:
    """Take one validation batch through network, loss and score.

    The test split is left alone: it is read at the end.

    Raises:
        UsageError: a member of the task is not what `Task` says, they do not fit together, or
            there is no validation batch.
    """
    _check_members(task)
    batch = None
    try:
        batch = next(iter(task.batches("validation", seed=0)), None)
        if batch is not None:
            _check_batch(model, task, batch, fabric)
    except LaconicError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise UsageError(
            f"the network and the task do not fit: {_described(batch)} gives "
            f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
        ) from error
    if batch is None:
        raise UsageError("the task has no validation examples; every stage is scored on them")


def _check_members(task: Task) -> None:
    """Name, direction and example of a task, before anything is computed."""
    if not isinstance(task.metric, str) or not task.metric:
        raise UsageError(f"the task's metric is {task.metric!r}; give its name as a text")
    if not isinstance(task.higher_is_better, bool):
        raise UsageError(
            f"the task's higher_is_better is {task.higher_is_better!r}; give True or False"
        )
    example = task.example_input
    if not isinstance(example, Tensor):
        raise UsageError(
            f"the task's example_input is a {type(example).__name__}; make it a property that "
            "gives a tensor"
        )
    if example.ndim == 0 or len(example) != 1:
        raise UsageError(
            f"the task's example_input has the shape {list(example.shape)}; it must be one input "
            "with a batch dimension of 1 before it"
        )


def _check_batch(model: nn.Module, task: Task, batch: object, fabric: Fabric) -> None:
    """Loss and score of one batch; in eval mode, so that no statistics move."""
    if not (isinstance(batch, tuple | list) and len(batch) == 2):
        raise UsageError(f"a batch of the task is {_described(batch)}; give (inputs, targets)")
    if not all(isinstance(part, Tensor) for part in batch):
        raise UsageError(f"a batch of the task is {_described(batch)}; give two tensors")
    inputs, targets = fabric.to_device(batch)
    with placed(model, fabric.device, training=False), torch.enable_grad():
        outputs = model(inputs)
        loss, scores = task.loss(outputs, targets), task.score(outputs, targets)
    if not (isinstance(loss, Tensor) and loss.ndim == 0 and loss.requires_grad):
        raise UsageError(
            f"the task's loss is {_described(loss)}; give the mean of the batch as a tensor of no "
            "dimension that depends on the outputs"
        )
    if not (isinstance(scores, Tensor) and scores.shape == (len(targets),)):
        raise UsageError(
            f"the task's score is {_described(scores)} for {len(targets)} examples; give one "
            f"number an example, a tensor of shape [{len(targets)}]"
        )


def _described(value: object) -> str:
    """Types and shapes, for messages."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    if isinstance(value, tuple | list):
        return f"({', '.join(_described(part) for part in value)})"
    return "no batch" if value is None else f"a {type(value).__name__}"


def copied(model: nn.Module) -> nn.Module:
    """A network of its own with the same values.

    Raises:
        UnsupportedError: something in the model cannot be copied, or its state is no tensor.
    """
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise UnsupportedError(f"{name}: a {kind} in the state dict; a file holds tensors")
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise UnsupportedError(
            f"the network cannot be copied ({type(error).__name__}: {error}); keep files, locks "
            "and generators out of the module"
        ) from error


def check_output(output: str | os.PathLike[str]) -> None:
    """Make the folder of the file that is written at the end.

    Raises:
        UsageError: a directory stands where the file should be, or the folder cannot be made.
    """
    target = Path(output)
    if target.is_dir():
        raise UsageError(f"{output} is a directory; name the file to write")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error}") from error
