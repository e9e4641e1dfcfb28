"""What every Step promises, checked on one weight; a new Step is tested before its author is."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import torch
from torch import Tensor, nn

from laconic.represent import Step, chain, description, rebuild, represent
from laconic.train import step_classes

Maker = Callable[[], Step]


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Equal in shape, dtype and every bit: -0.0 is not 0.0."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    one, other = one.detach().contiguous(), other.detach().contiguous()
    return one.numel() == 0 or torch.equal(
        one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8)
    )


def holder(weight: Tensor) -> nn.Module:
    """A module whose parameter ``weight`` is a copy of `weight`."""
    module = nn.Module()
    module.weight = nn.Parameter(weight.clone())
    return module


def check_step(make: Maker, weight: Tensor) -> None:
    """Run every check below.

    Args:
        make: gives a step that is not fitted.
        weight: finite floats of any shape and dtype.
    """
    check_fit(make, weight)
    check_forward(make, weight)
    check_gradient(make, weight)
    check_round_trip(make, weight)


def check_fit(make: Maker, weight: Tensor) -> None:
    """`fit` learns everything it promises, changes nothing else, and is the same every time."""
    step, again, before = make(), make(), weight.clone()
    configuration = copy.deepcopy(step.configuration)
    assert not step.is_fitted or not step.learnt
    step.fit(weight)
    again.fit(weight)
    assert step.is_fitted
    assert same_bits(weight, before), f"{step}.fit changed its argument"
    assert step.configuration == configuration, f"{step}.fit changed its configuration"
    assert type(step)(**json.loads(json.dumps(configuration))).configuration == configuration
    for name, value in step.state_dict().items():
        assert same_bits(value, again.state_dict()[name]), f"{name} differs from fit to fit"


def check_forward(make: Maker, weight: Tensor) -> None:
    """Shape and dtype stay; twice is once; zeros stay zero; no -0.0, NaN or infinity appears."""
    step, before = make(), weight.clone()
    step.fit(weight)
    once = step(weight).detach()
    assert (once.shape, once.dtype) == (weight.shape, weight.dtype)
    assert same_bits(weight, before), f"{step}.forward changed its argument"
    assert same_bits(step(once), once), f"{step} applied twice is not the same as once"
    assert bool((once[weight == 0] == 0).all()), f"{step} revived a zero"
    assert not bool(torch.signbit(once[once == 0]).any()), f"{step} made -0.0"
    assert bool(torch.isfinite(once).all()), f"{step} made NaN or infinity"


def check_gradient(make: Maker, weight: Tensor) -> None:
    """What the step trains gets a finite gradient of its own shape; zeros get none that moves."""
    step = make()
    step.fit(weight)
    latent = weight.clone().requires_grad_()
    trained = [latent, *step.parameters()]
    result = step(latent)
    if not result.requires_grad:
        return
    gradients = torch.autograd.grad(result.sum(), trained, allow_unused=True)
    assert any(gradient is not None for gradient in gradients), f"{step} trains nothing"
    for tensor, gradient in zip(trained, gradients, strict=True):
        if gradient is not None:
            assert gradient.shape == tensor.shape
            assert bool(torch.isfinite(gradient).all())


def check_round_trip(make: Maker, weight: Tensor) -> None:
    """Description (as JSON) and state dict put the same step on a fresh module."""
    module, fresh = holder(weight), holder(torch.zeros_like(weight))
    represent(module, make())
    described = json.loads(json.dumps(description(module)))
    rebuild(fresh, described, step_classes())
    assert not chain(fresh)[0].is_fitted or not chain(fresh)[0].learnt
    fresh.load_state_dict(module.state_dict())
    assert chain(fresh)[0].is_fitted
    assert same_bits(fresh.weight, module.weight)
    assert description(fresh) == description(module)
    assert str(chain(fresh)[0]) == str(chain(module)[0])
