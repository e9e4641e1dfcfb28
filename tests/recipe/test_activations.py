"""Recipes that quantize activations, train with them, and go on after a kill."""

import numpy as np
import pytest
import torch
from tests.recipe.tiny import convolutions

from laconic import runtime
from laconic.errors import UsageError
from laconic.recipe import Stage, Watcher
from laconic.recipe.quantizing import check_quantize_activations
from laconic.train import load_model

FIT = Stage("fit", {"epochs": 2, "learning_rate": 0.01})
STAGES = (
    FIT,
    Stage("fold-batchnorm", {}),
    Stage("uniform", {"bits": 8, "axis": 0}),
    Stage("quantize-activations", {"examples": 64}),
    FIT,
    Stage("quantize-biases", {}),
)


class Stopped(BaseException):
    """Stands for a kill."""


def network():
    torch.manual_seed(0)
    return convolutions()


def stop_before(stage):
    def on_stage(number, count, what):
        if number == stage:
            raise Stopped

    return Watcher(on_stage=on_stage)


@pytest.fixture(scope="module")
def done(tmp_path_factory, runner):
    return runner(tmp_path_factory.mktemp("activations"), STAGES, model=network())


def test_a_folded_quantized_and_trained_network_runs_with_quantize_linear(done):
    session = runtime.load(done.output)
    operators = [node.operator for node in session.program.nodes]
    assert operators.count("QuantizeLinear") == operators.count("DequantizeLinear") == 3
    assert "BatchNormalization" not in operators
    x = torch.cat([inputs for inputs, _ in done.task.batches("validation")])
    with torch.no_grad():
        expected = done.model.eval()(x).numpy()
    found = session.run(x.numpy())[0]
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.99


def test_every_stage_counts_the_same_macs(done):
    assert len({receipt.macs for receipt in done.receipts}) == 1


def test_training_moved_the_ranges_and_the_biases_are_on_their_grid_at_the_end(done):
    fresh = network()
    load_model(done.run_dir / "stage-4.safetensors", fresh)
    before, after = fresh[1].input_quantizer, done.model[1].input_quantizer
    assert float(before.high) != float(after.high)
    step = after.scale * done.model[1].parametrizations.weight[0].scale
    codes = (done.model[1].bias / step).detach()
    assert torch.equal(codes.round() * step, done.model[1].bias)


@pytest.mark.parametrize("stage", [3, 5, 6])
def test_an_interrupted_run_ends_with_the_same_file(done, tmp_path, runner, stage):
    with pytest.raises(Stopped):
        runner(tmp_path, STAGES, model=network(), watcher=stop_before(stage))
    again = runner(tmp_path, STAGES, model=network(), resume=True)
    assert again.output.read_bytes() == done.output.read_bytes()


def test_learned_ranges_are_trained_and_files_hold_scales(tmp_path, runner):
    method = {"kind": "pact"}
    stage = Stage("quantize-activations", {"method": method, "bits": {"4": 4, "8": 8}})
    decay = Stage("fit", {**FIT.arguments, "penalties": {"alpha": 1.0}})
    finished = runner(tmp_path, (FIT, stage, decay), model=network())
    quantizer = finished.model[4].input_quantizer
    names = runtime.load(finished.output).program.free_names()
    assert "4.input_quantizer.scale" in names
    assert not any("alpha" in name for name in names)
    assert float(quantizer.scale) == pytest.approx(quantizer.alpha.item() / 15)
    saved = network()
    load_model(finished.run_dir / "stage-2.safetensors", saved)
    assert saved[4].input_quantizer.alpha.item() > quantizer.alpha.item()
    assert np.isfinite(quantizer.alpha.item())


DEFAULTS = {"layers": "*", "bits": None, "method": "static", "place": "input", "examples": 8}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "best"}, "'best'"),
        ({"method": {"clip": "mse"}}, "a table with its name as kind"),
        ({"method": {"kind": "static", "wide": 1}}, "static has no argument 'wide'"),
        ({"method": {"kind": "static", "bits": 4}, "bits": 8}, "write them once"),
        ({"method": "sign", "bits": 8}, "sign has no bits; leave them out"),
        ({"bits": 1}, r"bits 1 is outside 2\.\.16"),
        ({"method": "xnor", "place": "output"}, "Xnor scales the sums of its layer"),
        ({"place": "middle"}, "place is 'middle'; it is one of: input, output"),
        ({"examples": 0}, "calibration looks at 0 examples"),
    ],
)
def test_arguments_are_refused_before_the_run(arguments, message):
    with pytest.raises(UsageError, match=message):
        check_quantize_activations(**{**DEFAULTS, **arguments})
