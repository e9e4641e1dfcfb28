"""Half-done trainings and whole models on disk: safetensors, never pickle."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from laconic.errors import DataError, MismatchError, StageError
from laconic.quantize.activation import describe_activations, rebuild_activations
from laconic.quantize.kinds import activation_classes
from laconic.represent import chains, description, rebuild
from laconic.surgery import Cut, apply_cut, cuts
from laconic.train.steps import step_classes
from laconic.train.tensor_file import Described, read_tensors, write_tensors

MODEL, OPTIMIZER = "model.", "optimizer."
LATENT = re.compile(r"(^|\.)parametrizations\.([^.]+)\.original$")


def save(
    path: str | os.PathLike[str],
    model: nn.Module,
    optimizer: Optimizer,
    fingerprint: Described,
    history: list[Any],
) -> None:
    """Write everything that training needs to go on after its last finished epoch.

    Args:
        path: one safetensors file, replaced as a whole.
        model: with its chains, whose state is part of the state dict.
        optimizer: over parameters of `model`.
        fingerprint: the arguments of the training, JSON data; `load` compares them.
        history: one record for each finished epoch, JSON data.
    """
    tensors: dict[str, Tensor] = {
        MODEL + key: value for key, value in model.state_dict(keep_vars=True).items()
    }
    others: dict[str, Any] = {}
    for number, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{OPTIMIZER}{number}.{key}"] = value
            else:
                others[f"{number}.{key}"] = value
    about = {"fingerprint": fingerprint, "history": history, "optimizer": others}
    write_tensors(path, tensors, about)


@dataclass(frozen=True)
class Checkpoint:
    """A training after some epoch, as `load` found it."""

    path: str
    state: dict[str, Tensor]
    optimizer_state: dict[int, dict[str, Any]]
    history: list[Any]

    def restore(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Put weights, chain state and optimizer state back, in place.

        Raises:
            MismatchError: the model has other names or shapes than the checkpoint.
        """
        _load_state(self.path, model, self.state)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": self.optimizer_state, "param_groups": groups})


def load(path: str | os.PathLike[str], fingerprint: Described) -> Checkpoint:
    """Read a checkpoint that a training with the same arguments left.

    Args:
        path: what `save` wrote.
        fingerprint: the arguments of the training that wants to go on.

    Raises:
        DataError: the file is missing, truncated, damaged or no checkpoint.
        StageError: other arguments were used; the message names each that differs.
    """
    tensors, about = read_tensors(path)
    try:
        kept, history, others = about["fingerprint"], about["history"], about["optimizer"]
    except KeyError as error:
        raise DataError(f"{path} holds a model, not a half-done training") from error
    # Through JSON, as the kept one went: a tuple became a list there.
    asked = json.loads(json.dumps(fingerprint))
    different = [
        f"{key} is {asked.get(key)!r} but was {kept.get(key)!r}"
        for key in {**asked, **kept}
        if asked.get(key) != kept.get(key)
    ]
    if different:
        raise StageError(
            f"{path} is the checkpoint of another training: {'; '.join(different)}; "
            "delete it, or give another checkpoint path"
        )
    optimizer_state: dict[int, dict[str, Any]] = {}
    for name, value in (others | _part(tensors, OPTIMIZER)).items():
        number, _, key = name.partition(".")
        optimizer_state.setdefault(int(number), {})[key] = value
    return Checkpoint(str(path), _part(tensors, MODEL), optimizer_state, history)


def save_model(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Write a model's weights, chains, quantizers and cuts; `load_model` puts them on a fresh one.

    Unlike a ``.lac`` file it keeps the latent weights, so training can go on. Tied weights are
    written once.

    Args:
        path: one safetensors file, replaced as a whole.
        model: on any device.
    """
    about = {
        "chains": description(model),
        "cuts": [cut.as_json() for cut in cuts(model)],
        "activations": describe_activations(model),
    }
    write_tensors(path, model.state_dict(keep_vars=True), about)


def load_model(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Put the weights, chains and cuts of a saved model on a fresh one, in place.

    Parameters that were tied when saved are tied again, even where the fresh model has two.

    Args:
        path: what `save_model` wrote.
        model: as its class makes it, without chains.

    Raises:
        DataError: the file is missing, truncated, damaged or no saved model.
        MismatchError: the model has chains already, or other names, shapes, dtypes or ties.

    Examples:
        >>> import tempfile
        >>> from laconic.prune import Prune
        >>> from laconic.represent import represent
        >>> trained, fresh = nn.Linear(4, 2), nn.Linear(4, 2)
        >>> step = represent(trained, Prune(0.5))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_model(f"{folder}/model.safetensors", trained)
        ...     load_model(f"{folder}/model.safetensors", fresh)
        >>> bool((fresh.weight == trained.weight).all()), description(fresh)
        (True, {'weight': [{'step': 'Prune', 'sparsity': 0.5}]})
    """
    tensors, about = read_tensors(path)
    if "chains" not in about:
        raise DataError(f"{path} holds a half-done training, not a model")
    if present := list(chains(model)):
        raise MismatchError(f"{present[0]} has a chain already; load into a fresh model")
    for cut in about.get("cuts", [])[len(cuts(model)) :]:
        apply_cut(model, Cut.from_json(cut))
    _tie(model, tensors)
    rebuild(model, about["chains"], step_classes())
    rebuild_activations(model, about.get("activations", []), activation_classes())
    _load_state(str(path), model, tensors)


def _tie(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Make one of the fresh model's parameters that stand for one saved tensor."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    first: dict[int, str] = {}
    for key, tensor in tensors.items():
        name = LATENT.sub(r"\1\2", key)
        if name not in parameters:
            continue
        original = first.setdefault(id(tensor), name)
        if parameters[name] is not parameters[original]:
            path, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(path), attribute, parameters[original])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load_state(path: str, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """A strict `load_state_dict` that also refuses other dtypes and lost ties."""
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise MismatchError(f"{path} does not fit the model: {error}") from error
    first: dict[int, str] = {}
    for key, value in model.state_dict(keep_vars=True).items():
        if value.dtype != tensors[key].dtype:
            raise MismatchError(
                f"{path}: {key} is {tensors[key].dtype} there but {value.dtype} in the model"
            )
        tied = first.setdefault(id(value), key)
        if tensors[tied] is not tensors[key]:
            raise MismatchError(f"{path}: {tied} and {key} are two there but tied in the model")
