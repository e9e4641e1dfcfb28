"""Chains of Steps on the weights of a model, as torch parametrizations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from laconic.errors import MismatchError, PatternError, UnsupportedError, UsageError
from laconic.represent.recurrent import read_through_chains
from laconic.represent.step import Step

Owner = tuple[nn.Module, str]
"""A module and the name of one of its parameters."""

Identity = tuple[int, tuple[int, ...]]
"""What makes owners hold the same values: the latent weight and the steps on it, by `id`."""


def represent(module: nn.Module, step: Step, name: str = "weight") -> Step:
    """Fit `step` to a parameter of `module` and let it restrict that parameter from now on.

    The step joins the end of the parameter's chain; a step of the same class that stands there
    already is replaced, and the latent weight takes the values that it restricted (pruning again
    prunes further: what is zero stays zero).

    Args:
        module: the layer itself, such as ``net.fc1``. Of a weight shared by several layers
            this restricts only the one; `represent_layers`, which sees the whole model, all.
        step: not fitted yet.
        name: which parameter.

    Returns:
        The step, fitted.

    Raises:
        UsageError: the module has no such parameter, its values are not finite, or the step
            is fitted already.
        UnsupportedError: the parameter holds no floats.

    Examples:
        >>> from laconic.prune import Prune
        >>> layer = nn.Linear(10, 10)
        >>> _ = represent(layer, Prune(0.9))
        >>> int((layer.weight != 0).sum())
        10
    """
    _represent([(module, name)], step, f"{type(module).__name__}.{name}")
    return step


def represent_layers(model: nn.Module, steps: Mapping[str, Step]) -> None:
    """`represent` for many weights by their names; a weight that layers share keeps one chain.

    Args:
        model: the whole network.
        steps: weight name (as `weights` gives it) → a step that is not fitted yet.

    Raises:
        PatternError: the model has no weight of that name.
        UsageError: as `represent`; or of the layers that share a weight only some are restricted.
    """
    owners = _owners(model)
    _refuse_split_ties(owners)
    for name, step in steps.items():
        if name not in owners:
            raise PatternError(name, owners)
        _represent(owners[name], step, name)


def _represent(owners: list[Owner], step: Step, label: str) -> None:
    module, name = owners[0]
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        found = [key for key, _ in module.named_parameters(recurse=False)]
        raise UsageError(f"{label}: there is no such parameter; the layer has {found or 'none'}")
    if not weight.is_floating_point():
        raise UnsupportedError(f"{label}: only float weights can be restricted, not {weight.dtype}")
    # In float32, in which scales and centroids are chosen: a float64 of 1e39 is infinite there.
    bad = int((~torch.isfinite(weight.float())).sum())
    if bad:
        raise UsageError(f"{label}: {bad} of {weight.numel()} values are NaN or infinite")
    if step.learnt and step.is_fitted:
        # A second fit would change the weight that it restricts already.
        raise UsageError(
            f"{label}: this {step} restricts another weight already; make a new one for each weight"
        )
    try:
        with torch.no_grad():
            step.fit(weight.detach())
    except UsageError as error:
        raise UsageError(f"{label}: {error}") from error
    for owner, key in owners:
        _append(owner, key, step, weight.detach())


def _append(module: nn.Module, name: str, step: Step, weight: Tensor) -> None:
    previous = chain(module, name)
    steps: Any = _parametrizations(module)[name] if previous else []
    if previous and type(previous[-1]) is type(step) and len(previous) == len(steps):
        # In place of the last one: the list is torch's own ModuleList.
        steps[len(previous) - 1] = step
        with torch.no_grad():
            steps.original.copy_(weight)
    else:
        _register(module, name, step)


def _register(module: nn.Module, name: str, step: Step) -> None:
    """Put a step at the end of a parameter's chain, fitted or not."""
    # unsafe: torch's own check calls forward, which a step rebuilt for a checkpoint
    # cannot do before its state is loaded; check_step holds every step to the contract.
    parametrize.register_parametrization(module, name, step, unsafe=True)
    if isinstance(module, nn.RNNBase):
        read_through_chains(module)


def chain(module: nn.Module, name: str = "weight") -> list[Step]:
    """The steps on one parameter, in order; empty when there are none."""
    if not parametrize.is_parametrized(module, name):
        return []
    return [step for step in _parametrizations(module)[name] if isinstance(step, Step)]


def _parametrizations(module: nn.Module) -> Any:
    """Torch's own table: parameter name → ModuleList of steps with the latent `original`."""
    return module.parametrizations


def chains(model: nn.Module) -> dict[str, list[Step]]:
    """Every restricted weight of a model and its steps."""
    found = {name: chain(*owners[0]) for name, owners in _owners(model).items()}
    return {name: steps for name, steps in found.items() if steps}


def _own_parameters(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters of a module itself, a restricted one under its plain name."""
    if parametrize.is_parametrized(module):
        for name, steps in _parametrizations(module).items():
            # Another package's parametrization may have several latents (torch's weight_norm).
            yield name, steps.original if hasattr(steps, "original") else steps.original0
    yield from module.named_parameters(recurse=False)


def _plain_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """All modules but the parametrizations themselves."""
    for path, module in model.named_modules(remove_duplicate=True):
        if "parametrizations" not in path.split("."):
            yield path, module


def _owners(model: nn.Module) -> dict[str, list[Owner]]:
    """Parameter name → who holds it; tied parameters stand once, under their first name.

    Owners of one latent weight with different chains have different values: they stand apart.
    """
    names: dict[Identity, str] = {}
    owners: dict[str, list[Owner]] = {}
    for path, module in _plain_modules(model):
        for key, parameter in _own_parameters(module):
            name = names.setdefault(
                _identity(module, key, parameter), f"{path}.{key}" if path else key
            )
            owners.setdefault(name, []).append((module, key))
    return owners


def layer_paths(model: nn.Module) -> dict[str, list[str]]:
    """Every parameter by its plain name → the layers that hold it: several of a tied one.

    Examples:
        >>> network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
        >>> network[1].weight = network[0].weight
        >>> layer_paths(network)
        {'0.weight': ['0', '1']}
    """
    paths = {id(module): path for path, module in _plain_modules(model)}
    return {
        name: [paths[id(module)] for module, _ in owners] for name, owners in _owners(model).items()
    }


def _identity(module: nn.Module, name: str, latent: Tensor) -> Identity:
    steps = _parametrizations(module)[name] if parametrize.is_parametrized(module, name) else ()
    return id(latent), tuple(id(step) for step in steps)


def _refuse_split_ties(owners: Mapping[str, list[Owner]]) -> None:
    """Refuse a shared latent weight on which only some of its layers, by name, have a chain.

    Raises:
        UsageError: a description by weight names could not tell such layers apart again, and a
            step put in another's place would change the values of both.
    """
    names: dict[int, str] = {}
    for name, ((module, key), *_) in owners.items():
        latent = id(dict(_own_parameters(module))[key])
        first = names.setdefault(latent, name)
        if first != name:
            raise UsageError(
                f"{first} and {name} share a weight but not its steps; restrict both at once by "
                "represent_layers(model, …), which follows ties, or give each a weight of its own"
            )


def weights(model: nn.Module, layers: str | list[str] = "*") -> dict[str, Tensor]:
    """The weights that methods work on: float parameters of two dimensions or more.

    Args:
        model: the network.
        layers: patterns for layer paths or parameter names: ``"conv*"``, ``["fc1", "fc2"]``.

    Returns:
        Name (``"fc1.weight"``) → the present, restricted values, detached; tied weights once.

    Raises:
        PatternError: a pattern matches no weight.
    """
    candidates = {}
    for name, owners in _owners(model).items():
        with torch.no_grad():
            value = getattr(*owners[0]).detach()
        if value.ndim >= 2 and value.is_floating_point():
            candidates[name] = value
    chosen = set()
    for pattern in [layers] if isinstance(layers, str) else layers:
        matches = {name for name in candidates if matches_layer(pattern, name)}
        if not matches:
            raise PatternError(pattern, [name.rpartition(".")[0] or name for name in candidates])
        chosen |= matches
    return {name: value for name, value in candidates.items() if name in chosen}


def matches_layer(pattern: str, name: str) -> bool:
    """Whether a pattern means this weight, by its full name or by its layer's path.

    Examples:
        >>> matches_layer("fc*", "fc1.weight"), matches_layer("conv", "conv1.weight")
        (True, False)
    """
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(".")[0], pattern)


def description(model: nn.Module) -> dict[str, list[dict[str, Any]]]:
    """The chains as JSON data: weight name → ``[{"step": "Prune", "sparsity": 0.9}, …]``.

    Raises:
        UsageError: of the layers that share a weight only some are restricted.
    """
    _refuse_split_ties(_owners(model))
    return {
        name: [{"step": type(step).__name__, **step.configuration} for step in steps]
        for name, steps in chains(model).items()
    }


def rebuild(
    model: nn.Module,
    described: Mapping[str, list[dict[str, Any]]],
    classes: Mapping[str, type[Step]],
) -> None:
    """Put unfitted chains on a fresh model, so that a saved state dict fits it.

    Args:
        model: without chains.
        described: what `description` gave.
        classes: class name → Step class.

    Raises:
        MismatchError: a class or a weight does not exist, or a class refuses its arguments.
    """
    owners = _owners(model)
    for name, steps in described.items():
        for arguments in steps:
            kind = arguments["step"]
            if kind not in classes or name not in owners:
                raise MismatchError(f"{name}: no step {kind!r} can be put there again")
            try:
                made = classes[kind](**{k: v for k, v in arguments.items() if k != "step"})
            except (TypeError, UsageError) as error:
                raise MismatchError(f"{name}: no {kind} can be made again: {error}") from error
            for module, key in owners[name]:
                _register(module, key, made)
