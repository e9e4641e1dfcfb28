import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from laconic.errors import UsageError
from laconic.zoo import MODELS
from laconic.zoo.lenet import LeNet5
from laconic.zoo.resnet import BasicBlock, ResNet
from laconic.zoo.tasks import cifar10

# Papers and published tables: arXiv:1506.02626 (LeNets, "267K" and "431K"); He et al. table 6
# give 0.27M, 0.46M, 0.66M, 0.85M and 1.7M.
PARAMETERS = {
    "lenet-300-100": 266_610,
    "lenet5": 431_080,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    "lenet5-wide": 1_663_370,
    # As resnet20 with 32, 64 and 128 channels: about four times as many.
    "resnet20-wide": 1_073_962,
    "resnet20-projection": 272_474,
    # 10,000 x 200 + 2 x (8 x 200 x 200 + 8 x 200) + 200 x 10,000 + 10,000, of arXiv:1409.2329.
    "ptb-lstm": 4_653_200,
    # 48 x 9 + (16 + 32) x 16 x 9 + (32 + 64) x 32 x 9 + 64 x 64 x 9 + norms + 262,400 + 2,570.
    "vgg-small": 337_274,
}
OPERATORS = {
    "lenet-300-100": {"Reshape": 1, "Gemm": 3, "Relu": 2},
    "lenet5": {"Conv": 2, "MaxPool": 2, "Reshape": 1, "Gemm": 2, "Relu": 1},
    # 19 convolutions with their BatchNorm folded in, 9 sums, and two shortcuts of Slice and Pad.
    "resnet20": {
        "Conv": 19,
        "Relu": 19,
        "Add": 9,
        "Slice": 4,
        "Pad": 2,
        "ReduceMean": 1,
        "Gemm": 1,
    },
}


def image_of(name: str, count: int) -> torch.Tensor:
    shape = (1, 28, 28) if name.startswith("lenet") else (3, 32, 32)
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("name", MODELS)
def test_parameter_counts_are_the_published_ones(name: str):
    assert sum(weight.numel() for weight in MODELS[name]().parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet5", "resnet20"])
def test_torch_export_takes_any_batch_size(name: str):
    model = MODELS[name]().eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (image_of(name, 2),), dynamic_shapes=[{0: batch}])
    images = image_of(name, 5)
    torch.testing.assert_close(program.module()(images), model(images))


def test_lenet5_has_no_relu_after_its_convolutions():
    model = LeNet5()
    with torch.no_grad():
        for layer in (model.conv1, model.conv2):
            layer.weight.zero_()
        model.conv2.bias.fill_(-3.0)
        expected = model.fc2(torch.relu(model.fc1(torch.full((1, 800), -3.0))))
        torch.testing.assert_close(model(image_of("lenet5", 1)), expected)


def test_a_shortcut_takes_every_second_pixel_and_pads_channels_with_zeros():
    block = BasicBlock(2, 4, 2).eval()
    torch.nn.init.zeros_(block.bn2.weight)
    maps = torch.rand(1, 2, 6, 6)
    outputs = block(maps)
    torch.testing.assert_close(outputs[:, 1:3], maps[:, :, ::2, ::2])
    assert outputs[:, [0, 3]].count_nonzero() == 0


@pytest.mark.parametrize("depth", [2, 18, 21, -4])
def test_a_resnet_of_impossible_depth_is_refused(depth: int):
    with pytest.raises(UsageError, match=f"no CIFAR ResNet has depth {depth}; the depth is 6n"):
        ResNet(depth)


@pytest.mark.parametrize("name", ["resnet20", "resnet32", "resnet44", "resnet56"])
def test_published_weights_load_strictly(name: str, data_folder: Path):
    weights = load_file(data_folder / f"cifar10_models/{name}.safetensors")
    MODELS[name]().load_state_dict(weights, strict=True)


def test_published_resnet20_reaches_its_accuracy_on_1000_test_images(data_folder: Path):
    model = MODELS["resnet20"]().eval()
    model.load_state_dict(load_file(data_folder / "cifar10_models/resnet20.safetensors"))
    task = cifar10()
    images, labels = next(task.batches("test"))
    with torch.inference_mode():
        error = task.score(model(images), labels).mean().item()
    assert len(labels) == 1000
    assert error == pytest.approx(100 - 91.73, abs=1.5)


EXPORT = """
import collections, json, torch
from laconic.zoo import MODELS
for name in ["lenet-300-100", "lenet5", "resnet20"]:
    images = torch.zeros(2, *((1, 28, 28) if name.startswith("lenet") else (3, 32, 32)))
    program = torch.onnx.export(MODELS[name]().eval(), (images,), dynamo=True, verbose=False,
                                dynamic_shapes=[{0: torch.export.Dim("batch")}])
    graph = program.model.graph
    batches = [str(end.shape[0]) for end in (*graph.inputs, *graph.outputs)]
    operators = dict(collections.Counter(node.op_type for node in graph))
    print(json.dumps([name, batches, operators]))
"""


def test_onnx_programs_are_small_and_keep_the_batch_size_open():
    # In a process of its own: the exporter warns and sets up global state on its first use.
    command = [sys.executable, "-W", "ignore", "-c", EXPORT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    assert {name: operators for name, _, operators in lines} == OPERATORS
    assert all(batches == ["batch", "batch"] for _, batches, _ in lines)
