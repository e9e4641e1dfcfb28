"""Every Step of every registry, over every kind of weight, alone and in chains."""

import math

import numpy as np
import pytest
import torch
from check_grid import check_grid, restricted
from check_step import check_step, holder, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from laconic.errors import UnsupportedError, UsageError
from laconic.prune import Mask
from laconic.represent import Grid, chain, description, represent
from laconic.train import step_names

# A new entry of a registry puts its constructor's arguments here.
EXAMPLES = {
    "prune": [{"sparsity": 0.5}, {"sparsity": 0.0}, {"sparsity": 0.97}],
    "prune-n-m": [{"n": 2, "m": 4}, {"n": 1, "m": 2}, {"n": 1, "m": 3}],
    "prune-blocks": [{"sparsity": 0.5, "rows": 1, "columns": 1},
                     {"sparsity": 0.75, "rows": 4, "columns": 1},
                     {"sparsity": 0.3, "rows": 1, "columns": 9}],
    "prune-patterns": [{"patterns": 8, "entries": 4}, {"patterns": 1, "entries": 1}],
    "prune-balanced": [{"sparsity": 0.5, "processors": 1}, {"sparsity": 0.8, "processors": 4}],
    "supermask": [{}],
    "threshold": [{"below": 0.0}, {"below": 0.5}],
    "quality-threshold": [{"quality": 0.0}, {"quality": 0.75}],
    "share": [{"bits": 1}, {"bits": 3}, {"bits": 4, "start": "density"},
              {"bits": 2, "start": "forgy"}, {"bits": 3, "start": "optimal"}],
    "share-nearest": [{"bits": 1}, {"bits": 3, "start": "density"}],
    "share-bins": [{"width": 0.3}, {"width": 0.01}],
    "share-entropy": [{"bits": 3, "penalty": 0.01}, {"bits": 4, "penalty": 0.0}],
    "product": [{"code_bits": 3, "length": 1}, {"code_bits": 2, "length": 9}],
    "residual": [{"code_bits": 2, "length": 2, "stages": 3}],
    "uniform": [{"bits": 2}, {"bits": 8}, {"bits": 16}, {"bits": 4, "axis": 0},
                {"bits": 3, "clip": "mse"}],
    "uniform-full": [{"bits": 2}, {"bits": 8, "axis": 0, "clip": "sigma:2"}],
    "spaced": [{"spacing": 0.25}, {"spacing": 0.01}],
    "affine": [{"bits": 2}, {"bits": 8}, {"bits": 16}, {"bits": 3, "axis": 0},
               {"bits": 4, "clip": "aciq-laplace"}],
    "sign": [{}],
    "stochastic-sign": [{}],
    "binary": [{}, {"axis": 0, "released": True}],
    "ternary": [{}, {"axis": 0}],
    "dorefa": [{"bits": 1}, {"bits": 3}, {"bits": 16}],
    "wrpn": [{"bits": 2}, {"bits": 8}],
    "fixed-point": [{"integer_bits": 2, "fraction_bits": 5}],
    "dynamic-fixed-point": [{}, {"bits": 4}],
    "narrow": [{"format": "bfloat16"}, {"format": "float16"}, {"format": "e4m3"},
               {"format": "e5m2"}],
    "lsq": [{"bits": 2}, {"bits": 8}],
}  # fmt: skip
STEPS = step_names()
ALL = [(name, arguments) for name, examples in EXAMPLES.items() for arguments in examples]
GRIDS = [(name, arguments) for name, arguments in ALL if issubclass(STEPS[name], Grid)]


def title(example):
    name, arguments = example
    return f"{name} {' '.join(f'{key}={value}' for key, value in arguments.items())}"


every_step = pytest.mark.parametrize("example", ALL, ids=title)


def maker(example):
    name, arguments = example
    return lambda: STEPS[name](**arguments)


def refusal(example, weight):
    """What the message of a mask that cannot fit this weight must say; None where it can."""
    name, arguments = example
    outputs = weight.shape[0] if weight.ndim > 1 else 1
    count = weight.numel()
    row = math.prod(weight.shape[1:]) if weight.ndim > 1 else count
    if name == "prune-n-m" and row % arguments["m"]:
        return f"a row of {row} weights cannot be cut into groups of {arguments['m']}"
    if name == "prune-patterns" and (weight.ndim != 4 or weight.shape[2:] != (3, 3)):
        return "has no 3x3 kernels"
    if name == "spaced" and weight.any() and weight.abs().max() > 2**23 * arguments["spacing"]:
        return r"spacings of .* codes go up to 2\^23"
    if name in ("product", "residual"):
        return refused_segments(weight, row, arguments["length"])
    if name == "threshold" and weight.any() and weight.abs().max() < arguments["below"]:
        return f"all {count} weights are below"
    if name == "prune-blocks":
        if outputs % arguments["rows"] or row % arguments["columns"]:
            return f"a matrix of {outputs} x {row} weights cannot be cut into blocks of"
        count //= arguments["rows"] * arguments["columns"]
    if name == "threshold" and weight.any() and weight.abs().max() < arguments["below"]:
        return f"all {count} weights are below"
    if weight.any() and float(weight.abs().max()) <= becomes_zero(name, arguments):
        return f"all {count} weights would be 0: the largest magnitude is"
    zeros = round(arguments.get("sparsity", 0) * count)
    if weight.any() and zeros == count:
        return (
            f"of {count} {'blocks' if name == 'prune-blocks' else 'weights'} rounds to {zeros} ze"
        )
    if name == "prune-balanced":
        for number in range(processors := arguments["processors"]):
            own = len(range(number, outputs, processors)) * row
            if own < (count - zeros) // processors + (number < (count - zeros) % processors):
                return f"processor {number + 1} of {processors} has {own} of {count} weights"
    return None


def becomes_zero(name, arguments):
    """The largest magnitude that a grid whose steps do not depend on the weights makes 0."""
    if name == "wrpn":
        return 0.5 / (2 ** (arguments["bits"] - 1) - 1)
    if name == "fixed-point":
        return 0.5 / 2 ** arguments["fraction_bits"]
    if name == "spaced":
        return arguments["spacing"] / 2
    if name == "narrow":
        smallest = {"bfloat16": 2.0**-133, "float16": 2.0**-24, "e4m3": 2.0**-9, "e5m2": 2.0**-16}
        return smallest[arguments["format"]] / 2
    return -1.0


def refused_segments(weight, row, length):
    """What a product quantizer says of rows that it cannot cut, and of zeros that would move."""
    if row % length:
        return f"a row of {row} weights cannot be cut into segments of {length}"
    cut = weight.reshape(-1, length) == 0
    partly = int((cut.any(1) & ~cut.all(1)).sum())
    return f"{partly} of {len(cut)} segments of {length} weights are zero in p" if partly else None


def check(example, weight):
    """The promises of a step, and of a grid; or that a mask refuses this weight and says why."""
    message = refusal(example, weight)
    if message:
        with pytest.raises(UsageError, match=message):
            maker(example)().fit(weight)
        return
    check_step(maker(example), weight)
    if example in GRIDS:
        check_grid(maker(example), weight)


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


CASES = {
    "a linear layer": gaussian(12, 7),
    "a convolution": gaussian(4, 3, 3, 3),
    "half zeros": gaussian(9, 8).relu(),
    "negative zeros": -gaussian(9, 8).relu(),
    "no element": torch.zeros(3, 0),
    "no channel": torch.zeros(0, 5),
    "one element": torch.tensor([[-2.5]]),
    "all zero": torch.zeros(4, 4),
    "all the same": torch.full((4, 4), -0.3),
    "two neighbouring floats": torch.tensor([[1.0, 1.0 + 2**-23], [1.0, 0.0]]),
    "one outlier": torch.cat([gaussian(1, 30) * 1e-3, torch.tensor([[1000.0]])], 1),
    "subnormal numbers": gaussian(5, 5) * 1e-40,
    "large numbers": gaussian(5, 5) * 1e37,
    "already on a grid": torch.arange(-6.0, 6.0).reshape(3, 4) / 4,
    "one dimension": gaussian(20),
    "not contiguous": gaussian(6, 10).t()[::2],
}
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def test_every_entry_of_every_registry_has_an_example():
    assert sorted(EXAMPLES) == sorted(STEPS)


@pytest.mark.parametrize("case", CASES)
@every_step
def test_a_step_keeps_its_promises(example, case):
    check(example, CASES[case])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e-6], ids="times {}".format)
@every_step
def test_every_float_dtype_is_kept(example, dtype, factor):
    check(example, (gaussian(40, 50) * factor).to(dtype))


@every_step
def test_a_scalar_parameter_is_restricted_or_refused_by_name(example):
    weight = torch.tensor(0.75)
    if "axis" in example[1]:
        with pytest.raises(UsageError, match=r"Module\.weight: axis 0 does not exist in a shape"):
            represent(holder(weight), maker(example)())
        return
    check(example, weight)


finite = st.floats(-(2.0**120), 2.0**120, width=32)
few = st.sampled_from([0.0, -0.0, 0.5, -0.5, 3.0])
weights = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=8),
    elements=st.one_of(few, finite),
)


@every_step
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(array=weights)
def test_any_finite_array_is_restricted_as_promised(example, array):
    check(example, torch.from_numpy(array.copy()))


@pytest.mark.parametrize(
    ("values", "count"),
    [([torch.nan, 1.0], 1), ([torch.inf, -torch.inf], 2)],
    ids=["NaN", "infinity"],
)
@every_step
def test_weights_that_are_not_finite_are_refused_and_counted(example, values, count):
    module = holder(torch.tensor([[*values, 1.0]]))
    with pytest.raises(UsageError, match=f"weight: {count} of 3 values are NaN or infinite"):
        represent(module, maker(example)())
    assert chain(module) == []


@every_step
def test_integer_weights_are_refused(example):
    module = nn.Module()
    module.register_parameter(
        "weight", nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)
    )
    with pytest.raises(UnsupportedError, match="only float weights can be restricted, not"):
        represent(module, maker(example)())


PAIRS = [(one, other) for one in ALL for other in ALL]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " then ".join(map(title, pair)))
def test_what_one_stage_gained_the_next_one_keeps(pair):
    """Zeros stay zero, values stay on the grid, also after a step of training."""
    module = holder(gaussian(8, 4, 3, 3))
    first, second = (maker(example)() for example in pair)
    represent(module, first)
    before = module.weight.detach().clone()
    if message := refusal(pair[1], before):
        with pytest.raises(UsageError, match=message):
            represent(module, second)
        return
    represent(module, second)
    after = module.weight.detach().clone()
    assert bool((after[before == 0] == 0).all()), "a zero was revived"
    assert not bool(torch.signbit(after[after == 0]).any())
    if isinstance(second, Grid):
        assert same_bits(restricted(second, second.codes(before), after), after)
    else:
        allowed = set(before.flatten().tolist()) | {0.0}
        assert set(after.flatten().tolist()) <= allowed, "the values left the first grid"
    replaced = type(first) is type(second)
    assert len(description(module)["weight"]) == (1 if replaced else 2)
    train(module)
    trained = module.weight.detach()
    if isinstance(first, Mask):
        assert bool((trained[before == 0] == 0).all()), "training revived a pruned weight"
    if "bits" in second.configuration:
        levels = 2 ** second.configuration["bits"] + getattr(second, "zero_beside", False)
        assert len(trained.unique()) <= levels * second_tables(second)


def second_tables(grid):
    """How many scales a grid has: as many times may its levels appear."""
    return grid.tables()["scale"].numel() if "scale" in grid.tables() else 1


def train(module):
    """Two steps of SGD towards a far target."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (module.weight - gaussian(8, 4, 3, 3, seed=1)).square().sum().backward()
        optimizer.step()
