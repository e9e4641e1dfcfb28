"""Processes and devices: one process, or several that torchrun started, on Lightning Fabric."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from laconic.errors import StageError, UsageError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

DEVICES = ("cpu", "cuda")


def make_fabric(device: str | None = None, threads: int | None = None) -> Fabric:
    """A launched Fabric: this process alone, or all the processes that ``torchrun`` started.

    ::

        torchrun --nproc_per_node=2 my_training.py

    Args:
        device: ``"cpu"`` or ``"cuda"``; None: CUDA where there is any, else the CPU.
        threads: threads that torch uses in each process; None leaves the setting alone. One
            thread gives results that repeat bit for bit.

    Raises:
        UsageError: an unknown or absent device, or no thread.

    Examples:
        >>> fabric = make_fabric("cpu")
        >>> fabric.world_size, fabric.device
        (1, device(type='cpu'))
    """
    # Fabric takes a second to import; whoever only reads a Task need not wait for it.
    from lightning_fabric import Fabric

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in DEVICES:
        raise UsageError(f"no device is named {device!r}; there are: {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda' was asked for, but torch finds no CUDA device here")
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads is {threads}; at least 1 is needed")
        torch.set_num_threads(threads)
    if not torch.distributed.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        fabric = Fabric(accelerator=device, devices=1)
    else:
        here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        fabric = Fabric(
            accelerator=device, devices=here, num_nodes=everywhere // here, strategy="ddp"
        )
    with _quiet():
        fabric.launch()
    return fabric


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Fabric's banner about its process group; warnings and errors pass."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_precision(fabric: Fabric) -> None:
    """Refuse a Fabric that trains in other numbers than the weights have.

    The weights that training sees are the weights that a file holds, bit for bit; so the fit
    loop works in the model's own dtype and would leave a setting such as bf16 unheeded.

    Raises:
        UsageError: any precision but ``32-true``.
    """
    precision = fabric.strategy.precision.precision
    if precision != "32-true":
        raise UsageError(f"this Fabric has precision {precision!r}; give one with '32-true'")


def total(fabric: Fabric, vector: Tensor) -> Tensor:
    """The sum of a tensor over all processes; with one process the tensor itself."""
    if fabric.world_size == 1:
        return vector
    return torch.as_tensor(fabric.all_reduce(vector, reduce_op="sum"))


def broadcast_model(model: nn.Module, fabric: Fabric) -> None:
    """Give every process the parameters and buffers (chains included) of process 0, in place.

    Raises:
        StageError: the processes hold models of different shapes or chains; on every process.
    """
    if fabric.world_size == 1:
        return
    state = model.state_dict(keep_vars=True)
    form = repr([(key, value.dtype, value.shape) for key, value in state.items()])
    forms = torch.zeros(fabric.world_size, dtype=torch.int64, device=fabric.device)
    forms[fabric.global_rank] = zlib.crc32(form.encode())
    if len(set(total(fabric, forms).tolist())) > 1:
        raise StageError(
            "the processes hold different models: names, shapes or codebook sizes differ; "
            "build the model and its chains in each process from the same seed or file"
        )
    for value in state.values():
        # As bytes: gloo knows fewer dtypes than torch.
        data = value.detach().to(fabric.device).contiguous().reshape(-1).view(torch.uint8)
        if data.numel():
            torch.distributed.broadcast(data, src=0)
            with torch.no_grad():
                value.copy_(data.view(value.dtype).reshape(value.shape))


def sum_gradients(parameters: list[nn.Parameter], loss: Tensor, fabric: Fabric) -> Tensor:
    """Add up gradients and losses of all processes; each was weighted by its slice beforehand.

    One all-reduce carries everything. A parameter without gradient in every process keeps None,
    so that an optimizer leaves it alone. Why not DistributedDataParallel:
    ``docs/decisions/0004-gradients-by-hand.md``.

    Args:
        parameters: the same list in every process; their gradients are replaced.
        loss: this process's part of the loss, a scalar.

    Returns:
        The loss of the whole batch, a scalar.
    """
    if fabric.world_size == 1:
        return loss
    # Half precision would lose bits in the sum.
    dtype = torch.float32
    for parameter in parameters:
        dtype = torch.promote_types(dtype, parameter.dtype)
    pieces = [loss.reshape(1)]
    pieces += [loss.new_tensor([parameter.grad is not None for parameter in parameters])]
    pieces += [
        (torch.zeros_like(p) if p.grad is None else p.grad).detach().reshape(-1) for p in parameters
    ]
    summed = total(fabric, torch.cat([piece.to(fabric.device, dtype) for piece in pieces]))
    had_gradient = summed[1 : 1 + len(parameters)] > 0
    start = 1 + len(parameters)
    for parameter, had in zip(parameters, had_gradient.tolist(), strict=True):
        piece = summed[start : start + parameter.numel()]
        parameter.grad = piece.reshape(parameter.shape).to(parameter.dtype) if had else None
        start += parameter.numel()
    return summed[0]
