"""Run a recipe: stage by stage, each with its receipt; resume after a kill."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import nn

from laconic import runtime
from laconic.container import LacFile, Program
from laconic.container.atomic import write_bytes
from laconic.errors import DataError, StageError, UnsupportedError
from laconic.measure import Receipt, dense_receipt
from laconic.measure.file import measure_file
from laconic.measure.tensors import tensor_records
from laconic.measure.versions import versions
from laconic.pack import capture, pack_model_bytes
from laconic.quantize.activation import describe_activations
from laconic.recipe import guard
from laconic.recipe.beforehand import (
    check_lengths,
    check_order,
    check_output,
    check_patterns,
    check_task,
    copied,
)
from laconic.recipe.context import Context
from laconic.recipe.recipe import Recipe, Stage
from laconic.recipe.run_dir import RunDir
from laconic.recipe.stages import STAGES
from laconic.represent import plain_state
from laconic.surgery import cuts
from laconic.train import Progress, Task, evaluate, load_model, make_fabric, save_model
from laconic.train.fabric import broadcast_model

TIMED_CALLS = 30


@dataclass(frozen=True)
class Watcher:
    """Who is told of the progress; each member may be None."""

    on_stage: Callable[[int, int, Stage], None] | None = None
    """Number of the stage, of how many, and the stage: it begins."""
    on_progress: Callable[[Progress], None] | None = None
    """Inside a stage that trains."""
    on_receipt: Callable[[Receipt], None] | None = None
    """A stage is finished and measured."""
    on_input: Callable[[int, int, str], None] | None = None
    """Number of an input, of how many, and its name: a study without a recipe begins with it."""


def run(
    model: nn.Module,
    task: Task,
    recipe: Recipe,
    output: str | os.PathLike[str],
    run_dir: str | os.PathLike[str],
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    fabric: Fabric | None = None,
    identity: dict[str, Any] | None = None,
) -> list[Receipt]:
    """Compress `model` by `recipe` and write `output`, a ``.lac`` file.

    Every stage is packed, opened and measured: its receipt goes to ``run_dir/receipts.json``.
    The validation split is scored after every stage; the test split once, at the end, for the
    dense network and for the result.

    Args:
        model: changed in place; the same weights and seed give the same file.
        task: data, loss and metric.
        recipe: what to do.
        output: the file to write.
        run_dir: where receipts and checkpoints go.
        resume: go on with the run in `run_dir`, at its last finished stage or checkpoint.
        watcher: told of the progress.
        fabric: processes and devices; one process by default. Under ``torchrun`` the first
            process measures and writes.
        identity: what else tells this run from others (the names of model and task, say).

    Returns:
        The receipts, the dense network's and one for each stage.

    Raises:
        StageError: a stage changed nothing, or undid an earlier one.
        UsageError: network, task and recipe do not fit each other; or `run_dir` holds another run,
            or holds this one and `resume` is false.
        UnsupportedError: no file can hold this network, or the runtime cannot run it.
        DataError: the run in `run_dir` is damaged.
    """
    watcher = watcher or Watcher()
    fabric = fabric or make_fabric()
    check_output(output)
    check_task(model, task, fabric)
    check_patterns(model, task, recipe)
    check_order(recipe)
    check_lengths(task, recipe)
    fresh = copied(model)
    wanted = {
        "recipe": recipe.as_json(),
        "seed": recipe.seed,
        "starting weights": fingerprint(model),
        **{f"content of {path}": digest[:16] for path, digest in recipe.contents().items()},
        **(identity or {}),
    }
    if fabric.is_global_zero:
        directory = RunDir(run_dir, wanted, resume=resume)
    fabric.barrier()
    if not fabric.is_global_zero:
        directory = RunDir(run_dir, wanted, resume=True, writes=False)
    running = _Run(model, fresh, task, recipe, directory, watcher, fabric)
    running.go_on()
    running.conclude(output)
    return directory.receipts


def fingerprint(model: nn.Module) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a network's names and values."""
    digest = hashlib.sha256()
    for name, value in plain_state(model).items():
        digest.update(name.encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass
class _Run:
    """One run on its way; `program` is captured again where the network computes otherwise."""

    model: nn.Module
    fresh: nn.Module
    """The network as it was given, without chains: saved stages are loaded into copies of it."""
    task: Task
    recipe: Recipe
    directory: RunDir
    watcher: Watcher
    fabric: Fabric
    program: Program | None = None
    captured: tuple[int, str] = (0, "")
    """Cuts that the network had when the program was captured, and quantizers of activations."""

    def go_on(self) -> None:
        """Do the stages that have no receipt yet."""
        receipts = self.directory.receipts
        done = receipts[-1].stage if receipts else -1
        if done >= 0:
            self._load(done, self.model)
        elif self.fabric.is_global_zero:
            self._check_packing()
        if done < 0 and self.recipe.stages[0].kind != "fit":
            self._finish(0, Stage("fit", {"epochs": 0}), 0.0)
        for number, stage in enumerate(self.recipe.stages, 1):
            if number > done:
                self._do(number, stage)

    def _check_packing(self) -> None:
        """What no file can hold, or nothing here can run, fails now, not after the training."""
        try:
            # In NumPy too, which counts the MACs of every stage and has fewer operators.
            runtime.load(self.packed(), engine="numpy")
        except UnsupportedError as error:
            reason = str(error).splitlines()[0]
            raise UnsupportedError(
                f"{reason}\nA recipe measures the network after each stage, so it must run in "
                "laconic.runtime. From Python, represent and fit work without it, and "
                "pack(model, path, program=False) stores the weights"
            ) from error

    def _load(self, stage: int, network: nn.Module) -> None:
        """Put the network as it was after a stage into one without chains."""
        try:
            load_model(self.directory.model_path(stage), network)
        except DataError as error:
            raise DataError(
                f"{error}\nThe run in {self.directory.path} cannot go on without it: start again "
                "in another directory"
            ) from error

    def _do(self, number: int, stage: Stage) -> None:
        label = f"stage {number} ({stage.kind})"
        if self.watcher.on_stage:
            self.watcher.on_stage(number, len(self.recipe.stages), stage)
        seed = stage_seed(self.recipe.seed, number)
        torch.manual_seed(seed)
        before = guard.snapshot(self.model)
        start = time.perf_counter()
        context = Context(
            self.model,
            self.task,
            self.fabric,
            seed,
            self.directory.partial_path(number),
            self.watcher.on_progress,
            self.fresh,
            self.directory.kept_path(),
        )
        try:
            STAGES[stage.kind](context, **stage.arguments)
        except StageError as error:
            raise StageError(f"{label}: {error}") from error
        # What a stage computed from data may differ in its last bits from process to process.
        broadcast_model(self.model, self.fabric)
        guard.check(before, self.model, label)
        self._finish(number, stage, time.perf_counter() - start)

    def _finish(self, number: int, stage: Stage, seconds: float) -> None:
        metric = {"validation": evaluate(self.model, self.task, "validation", self.fabric)}
        measured = None
        if self.fabric.is_global_zero:
            measured = self._measure(number, stage, seconds, metric)
            save_model(self.directory.model_path(number), self.model)
        receipt = cast(Receipt, self.fabric.broadcast(measured))
        self.directory.finish(receipt)
        if self.watcher.on_receipt and self.fabric.is_global_zero:
            self.watcher.on_receipt(receipt)

    def packed(self) -> bytes:
        """The network as it stands, as a ``.lac`` file."""
        example = self.task.example_input
        form = len(cuts(self.model)), repr(describe_activations(self.model))
        if self.program is None or form != self.captured:
            self.program, self.captured = capture(self.model, example), form
        return pack_model_bytes(self.model, example_input=example, program=self.program)

    def _measure(
        self, number: int, stage: Stage, seconds: float, metric: dict[str, float]
    ) -> Receipt:
        data = self.packed()
        measured = measure_file(data, self.task, splits=(), metric=metric, count=TIMED_CALLS)
        with LacFile(data) as file:
            tensors = tensor_records(file)
        return Receipt(
            **vars(measured),
            stage=number,
            kind="given" if number == 0 else stage.kind,
            arguments={} if number == 0 else dict(stage.arguments),
            seconds=seconds,
            seed=self.recipe.seed,
            versions=versions(),
            tensors=tensors,
        )

    def conclude(self, output: str | os.PathLike[str]) -> None:
        """Score the test split, for the dense network and the result, and write the file."""
        receipts = self.directory.receipts
        dense = dense_receipt(receipts)
        if "test" not in dense.metric:
            network = copied(self.fresh)
            self._load(dense.stage, network)
            self._score(dense, network)
        if "test" not in receipts[-1].metric:
            self._score(receipts[-1], self.model)
        self.directory.write_receipts()
        if self.fabric.is_global_zero:
            write_bytes(output, self.packed())

    def _score(self, receipt: Receipt, network: nn.Module) -> None:
        value = evaluate(network, self.task, "test", self.fabric)
        place = self.directory.receipts.index(receipt)
        self.directory.receipts[place] = replace(receipt, metric={**receipt.metric, "test": value})


def stage_seed(seed: int, number: int) -> int:
    """A seed of its own for each stage, so that a resumed stage draws what it would have drawn."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:6], "little")
