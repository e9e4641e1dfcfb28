#!/usr/bin/env python3
"""Mutates programs and runs them in both engines: `fuzz_programs.py SECONDS [SEED [NUMBER]]`.

The seeds are the ONNX project's node cases. A mutated program may end in a documented refusal or in
the reference engine's answer; a crash, a hang, another exception or another answer is a fault. Each
process of cases ends with the first crash, the next goes on behind it. With NUMBER, that case alone
is run, in this process, and shown. Exit code 1 when faults were found. scripts/fuzz runs this.
"""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laconic.container import Node, Program, Value, dtype_of
from laconic.errors import LaconicError
from laconic.runtime import NumpyExecutor
from laconic.runtime.native_executor import NativeExecutor

Array = NDArray[Any]
MOST_SECONDS = 20
"""Of the processor's time for one case, which takes milliseconds; on a busy machine, too."""
MOST_WAITING = 300
"""Seconds for a case that does nothing."""
MOST_MEMORY = 2**32
"""Of address space beyond what the interpreter has: a program may ask for any size."""
MOST_ITEMS = 2**12
"""Of a seed's inputs together."""
MOST_DEVIATION = 1e-4
"""Relative to the largest finite item."""
INTEGERS = [-(2**63), -(2**31), -9, -3, -2, -1, 0, 1, 2, 3, 5, 9, 2**16, 2**31, 2**62, 2**63 - 1]
FLOATS = [0.0, -0.0, 1.0, -1.5, 1e-30, 1e30, float("inf"), float("-inf"), float("nan")]
DTYPES = "f4 f4 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 ?".split()
UNDEFINED = set(
    "BitShift Cast CastLike Clip Conv ConvTranspose Gemm MatMul Pow QuantizeLinear ReduceL2 "
    "ReduceLogSum ReduceLogSumExp ReduceMean Resize ThresholdedRelu".split()
)
"""What these make of NaN, infinity, or integers that do not fit is not said by ONNX."""
FOLLOWERS = "Relu Identity Neg Add Mul Sub Clip Flatten Shape Transpose Softmax MatMul".split()


@dataclass(frozen=True)
class Case:
    """A program without tensors of its own and what its inputs get."""

    program: Program
    given: dict[str, Array]


def seeds() -> list[Case]:
    """The node cases whose operators the engine has, with small inputs."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
    script = import_module("operators")
    out = []
    for case in script.node_cases():
        graph = case.model.graph
        known = set(script.operators_of(graph)) <= set(script._native.operator_names())
        if not known or not script.has_common_types(graph):
            continue
        model = script.ir.serde.deserialize_model(case.model)
        program = script.program_of(model, {}, [value.name for value in graph.output])
        arrays = [script.plain(array) for array in case.data_sets[0][0]]
        if sum(array.size for array in arrays) <= MOST_ITEMS:
            names = [value.name for value in program.inputs]
            given = dict(zip(names, arrays, strict=True))
            out.append(Case(replace(program, opset=max(program.opset, 13)), given))
    return out


def mutated(seed: Case, rng: random.Random) -> Case:
    """The seed with up to three changes, some of its inputs as constants, some sizes left open."""
    nodes, given = list(seed.program.nodes), dict(seed.given)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        change = rng.choice([attribute, attribute, shape, dtype, items, items, wiring, outputs])
        change(nodes, given, rng)
    made = dict.fromkeys(name for node in nodes for name in node.outputs if name)
    names = [value.name for value in seed.program.outputs if value.name in made]
    if made and rng.random() < 0.4:
        last = rng.choice(list(made))
        nodes.append(follower(last, given, rng))
        names = [name for name in names if name != last or rng.random() < 0.5] + ["after"]
    if given and rng.random() < 0.05:
        names.append(rng.choice(list(given)))
    constants = {name: array for name, array in given.items() if rng.random() < 0.4}
    given = {name: array for name, array in given.items() if name not in constants}
    inputs = tuple(value(name, array, rng) for name, array in given.items())
    results = tuple(Value(name, "F32", ()) for name in dict.fromkeys(names))
    program = Program(seed.program.opset, inputs, results, tuple(nodes), constants)
    return Case(program, given)


def value(name: str, array: Array, rng: random.Random) -> Value:
    """The declaration of an input."""
    sizes = [f"{name} {k}" if rng.random() < 0.3 else size for k, size in enumerate(array.shape)]
    return Value(name, dtype_of(array).name, tuple(sizes))


def attribute(nodes: list[Node], given: dict[str, Array], rng: random.Random) -> None:
    """Another value for an attribute, or none, or one that the node had not."""
    index = rng.randrange(len(nodes))
    node = nodes[index]
    changed = dict(node.attributes)
    if not changed or rng.random() < 0.1:
        changed[rng.choice(["axis", "axes", "keepdims", "pads", "to"])] = rng.choice(INTEGERS)
    else:
        key = rng.choice(list(changed))
        if rng.random() < 0.1:
            del changed[key]
        else:
            changed[key] = other(changed[key], rng)
    nodes[index] = replace(node, attributes=changed)


def other(old: Any, rng: random.Random) -> Any:
    """A value that an attribute could have instead."""
    if rng.random() < 0.05:
        return rng.choice([0, 1.5, "no", (), (1, 2), (0.5,)])
    if isinstance(old, tuple) and old:
        items = list(old)
        if rng.random() < 0.2:
            return tuple(items[:-1]) if rng.random() < 0.5 else (*items, items[-1])
        place = rng.randrange(len(items))
        items[place] = other(items[place], rng)
        return tuple(items)
    if isinstance(old, int):
        return rng.choice(INTEGERS if rng.random() < 0.5 else [old - 1, old + 1, -old, 2 * old])
    if isinstance(old, float):
        return rng.choice(FLOATS)
    return old


def shape(nodes: list[Node], given: dict[str, Array], rng: random.Random) -> None:
    """An input of other sizes, or of more or fewer dimensions."""
    if not given:
        return
    name = rng.choice(list(given))
    sizes = list(given[name].shape)
    how = rng.random()
    if sizes and how < 0.6:
        axis = rng.randrange(len(sizes))
        sizes[axis] = rng.choice([0, 1, 2, sizes[axis] + 1, max(sizes[axis] - 1, 0), 17])
    elif sizes and how < 0.75:
        del sizes[rng.randrange(len(sizes))]
    elif how < 0.9:
        sizes.insert(rng.randint(0, len(sizes)), rng.choice([0, 1, 1, 2]))
    else:
        sizes = rng.choice([[], [0], [1], [1] * 9, sizes[::-1]])
    if np.prod(sizes, dtype=float) <= 4 * MOST_ITEMS:
        given[name] = np.resize(given[name], sizes).astype(given[name].dtype)


def dtype(nodes: list[Node], given: dict[str, Array], rng: random.Random) -> None:
    """An input of another type."""
    if given:
        name = rng.choice(list(given))
        with np.errstate(all="ignore"):
            given[name] = given[name].astype(rng.choice(DTYPES))


def items(nodes: list[Node], given: dict[str, Array], rng: random.Random) -> None:
    """An input of which one item, or all, are others."""
    if not given:
        return
    name = rng.choice(list(given))
    array = given[name].copy()
    if not array.size:
        return
    places = slice(None) if rng.random() < 0.1 else rng.randrange(array.size)
    flat = array.reshape(-1)
    if array.dtype.kind == "f":
        flat[places] = rng.choice(FLOATS)
    elif array.dtype.kind in "iu":
        ends = np.iinfo(array.dtype)
        flat[places] = min(max(rng.choice(INTEGERS), ends.min), ends.max)
    elif array.dtype.kind == "b":
        flat[places] = rng.random() < 0.5
    given[name] = flat.reshape(array.shape)


def wiring(nodes: list[Node], given: dict[str, Array], rng: random.Random) -> None:
    """An input of a node is absent, another one, or one too many."""
    index = rng.randrange(len(nodes))
    inputs = list(nodes[index].inputs)
    how = rng.random()
    if inputs and how < 0.3:
        inputs[rng.randrange(len(inputs))] = ""
    elif inputs and how < 0.5:
        inputs.pop()
    elif inputs and given and how < 0.8:
        inputs[rng.randrange(len(inputs))] = rng.choice(list(given))
    elif given:
        inputs.append(rng.choice(list(given)))
    nodes[index] = replace(nodes[index], inputs=tuple(inputs))


def outputs(nodes: list[Node], given: dict[str, Array], rng: random.Random) -> None:
    """An output of a node has no name, is missing, or is one too many."""
    index = rng.randrange(len(nodes))
    names = list(nodes[index].outputs)
    how = rng.random()
    if names and how < 0.4:
        names[rng.randrange(len(names))] = ""
    elif names and how < 0.7:
        names.pop()
    else:
        names.append("one more")
    nodes[index] = replace(nodes[index], outputs=tuple(names))


def follower(last: str, given: dict[str, Array], rng: random.Random) -> Node:
    """A node that reads what the others made, and perhaps one of the inputs."""
    operator = rng.choice(FOLLOWERS)
    inputs = [last]
    if operator in ("Add", "Mul", "Sub", "MatMul", "Clip"):
        inputs.append(rng.choice([last, *given]))
        if rng.random() < 0.3:
            inputs.reverse()
    attributes = {"axis": rng.choice([-1, 0, 1])} if operator in ("Softmax", "Flatten") else {}
    return Node(operator, tuple(inputs), ("after",), attributes)


def raw(executor: NativeExecutor, given: dict[str, Array]) -> list[Array]:
    """The engine's outputs as it made them, before they become what the program declares."""
    by_node = executor._network.run(executor._ordered(given))
    return list(by_node)


def fault(case: Case) -> str:
    """What is wrong with how the native engine took the case; empty when nothing is."""
    copies = {name: array.copy() for name, array in case.given.items()}
    try:
        executor = NativeExecutor(case.program, {}, threads=2)
        executor.run(case.given)
        found = raw(executor, case.given)
    except (LaconicError, MemoryError):
        return ""
    except Exception:
        return traceback.format_exc()
    for name, array in copies.items():
        if not np.array_equal(array, case.given[name], equal_nan=array.dtype.kind == "f"):
            return f"the input {name} was changed"
    try:
        with np.errstate(all="ignore"):
            expected = NumpyExecutor(case.program, {}).run(case.given)
    except Exception:
        return ""  # the reference refuses more
    if UNDEFINED & {node.operator for node in case.program.nodes}:
        arrays = [*case.given.values(), *case.program.constants.values()]
        if not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in arrays):
            return ""
    return "".join(map(difference, found, expected))


def difference(found: Array, expected: Array) -> str:
    """How an output differs from the reference; empty when it does not."""
    expected = np.asarray(expected)
    if expected.dtype == np.float16:
        return ""  # computed in float32
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return f"{found.dtype}{found.shape}, not {expected.dtype}{expected.shape}"
    if found.dtype.kind != "f":
        wrong = found != expected
    else:
        finite = np.abs(expected[np.isfinite(expected)])
        most = MOST_DEVIATION * (float(finite.max()) if finite.size else 1.0)
        with np.errstate(all="ignore"):
            near = np.abs(found - expected) <= most
        wrong = ~(near | (found == expected) | (np.isnan(found) & np.isnan(expected)))
    if not wrong.any():
        return ""
    return f"{found[wrong].flat[0]}, not {expected[wrong].flat[0]} ({wrong.sum()} of {wrong.size})"


def case_of(number: int, start: int, good: list[Case]) -> Case:
    """The case of that number."""
    rng = random.Random(start * 2**32 + number)
    return mutated(rng.choice(good), rng)


def shown(case: Case) -> str:
    """The case in a few lines."""
    lines = [
        f"  {n.operator}{n.inputs} -> {n.outputs} {short(n.attributes)}" for n in case.program.nodes
    ]
    for kind, arrays in (("given", case.given), ("constant", case.program.constants)):
        for name, array in arrays.items():
            held = array.ravel()[:12].tolist()
            lines.append(f"  {kind} {name}: {array.dtype}{array.shape} {held}")
    return "\n".join(lines)


def short(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes without the insides of branches."""
    return {k: "..." if isinstance(v, Program) else v for k, v in attributes.items()}


def limit_memory() -> None:
    """So that a program that asks for too much is refused and not obeyed."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def child(first: int, start: int, good: list[Case], news: int) -> None:
    """Runs cases from `first` on; tells each one's number before, and each fault."""
    limit_memory()
    warnings.simplefilter("ignore")
    number = first
    while True:
        os.write(news, f"{number}\n".encode())
        signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)  # ends the process
        if wrong := fault(case_of(number, start, good)):
            os.write(news, f"fault {number} {wrong.strip().splitlines()[-1][:300]}\n".encode())
        number += 1


def search(seconds: float, start: int, good: list[Case], most: int | None = None) -> list[str]:
    """What was found in that time, or among the first `most` cases; each fault with its number."""
    faults: list[str] = []
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end and number != most:
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(reader)
            try:
                child(number, start, good, writer)
            finally:
                os._exit(0)
        os.close(writer)
        number, how = watched(process, reader, number, end, most, faults)
        os.close(reader)
        if how:
            faults.append(f"{number} {how}")
            number += 1
    print(f"{number:,} programs of seed {start}: {len(faults)} faults")
    return faults


def watched(
    process: int, reader: int, number: int, end: float, most: int | None, faults: list[str]
) -> tuple[int, str]:
    """The last case that a process began, and how it ended; empty when it was stopped in time."""
    rest, how = b"", ""
    while number != most and time.monotonic() < end and not how:
        ready, _, _ = select.select([reader], [], [], MOST_WAITING)
        heard = os.read(reader, 2**16) if ready else b""
        if not heard:
            how = "ends the process" if ready else "stands still"
        *lines, rest = (rest + heard).split(b"\n")
        for line in map(bytes.decode, lines):
            if line.startswith("fault "):
                faults.append(line.removeprefix("fault "))
            else:
                number = int(line)
    if how != "ends the process":
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    if status == signal.SIGVTALRM:
        how = f"takes more than {MOST_SECONDS} s"
    return number, f"{how} ({status})" if how else ""


def main() -> None:
    """Search for faults, or show one case."""
    start = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    good = seeds()
    if len(sys.argv) > 3:
        case = case_of(int(sys.argv[3]), start, good)
        print(shown(case), flush=True)
        limit_memory()
        sys.exit(fault(case) or 0)
    faults = search(float(sys.argv[1]), start, good)
    for line in faults:
        number = int(line.split(" ", 1)[0])
        print(f"{line}\n{shown(case_of(number, start, good))}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
