"""What is checked before the first stage, so that no training is lost to a slip of the pen."""

from __future__ import annotations

import copy
import os
import traceback
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from laconic.errors import LaconicError, PatternError, UnsupportedError, UsageError
from laconic.recipe.recipe import Recipe
from laconic.recipe.stages import by_layer
from laconic.train import Task, step_names
from laconic.train.evaluate import placed


def check_patterns(model: nn.Module, recipe: Recipe) -> None:
    """Let every pattern of every stage find its layers; no stage here adds or removes layers.

    Raises:
        PatternError: one finds none; the message lists the layers and names the stage.
        UsageError: the tables of a stage have no layer in common.
    """
    for number, stage in enumerate(recipe.stages, 1):
        if stage.kind not in step_names():
            continue
        arguments = dict(stage.arguments)
        try:
            by_layer(model, arguments.pop("layers", "*"), arguments)
        except PatternError as error:
            error.args = (f"stage {number} ({stage.kind}): {error}",)
            raise
        except UsageError as error:
            raise UsageError(f"stage {number} ({stage.kind}): {error}") from error


def check_task(model: nn.Module, task: Task, fabric: Fabric) -> None:
    """Take one validation batch through network, loss and score.

    Raises:
        UsageError: they do not fit together, or there is no validation batch.
    """
    batch = next(iter(task.batches("validation")), None)
    if batch is None:
        raise UsageError("the task has no validation examples; every stage is scored on them")
    inputs, targets = fabric.to_device(batch)
    try:
        with placed(model, fabric.device, training=False), torch.no_grad():
            outputs = model(inputs)
            task.loss(outputs, targets)
            task.score(outputs, targets)
    except LaconicError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise UsageError(
            f"the network and the task do not fit: inputs of shape {list(inputs.shape)} and "
            f"targets of shape {list(targets.shape)} give {type(error).__name__}: {error} "
            f"({place.filename}, line {place.lineno})"
        ) from error


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
