"""Networks of many kinds as torch exports them to ONNX, dense and pruned, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from laconic import runtime
from laconic.pack import pack_file

pytestmark = pytest.mark.slow


class SqueezeExcite(nn.Module):
    """Depthwise and 1×1 convolutions with channel attention, as EfficientNet has them."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Hardswish())
        self.expand = nn.Sequential(nn.Conv2d(16, 64, 1), nn.BatchNorm2d(64), nn.SiLU())
        self.depthwise = nn.Conv2d(64, 64, 5, 2, 2, groups=64)
        self.reduce, self.gate = nn.Conv2d(64, 16, 1), nn.Conv2d(16, 64, 1)
        self.head = nn.Linear(64, 7)

    def forward(self, x):
        x = self.depthwise(self.expand(self.stem(x)))
        gate = self.gate(functional.silu(self.reduce(functional.adaptive_avg_pool2d(x, 1))))
        return self.head((x * torch.sigmoid(gate)).mean((2, 3)))


class UNet(nn.Module):
    """Down, up by a transposed convolution and by interpolation, with two normalisations."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.InstanceNorm2d(8, affine=True))
        self.down = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.GroupNorm(4, 16), nn.ELU())
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.last = nn.Conv2d(16, 1, 7, padding=3)

    def forward(self, x):
        first = functional.leaky_relu(self.first(x), 0.1)
        joined = torch.cat([first, self.up(self.down(first))], 1)
        return torch.tanh(
            self.last(functional.interpolate(joined, scale_factor=2, mode="bilinear"))
        )


class Transformer(nn.Module):
    """Patches, two encoder layers, log-softmax."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        tokens = self.encoder(self.patches(x).flatten(2).transpose(1, 2))
        return functional.log_softmax(self.head(tokens[:, 0]), -1)


class Recurrent(nn.Module):
    """Embedding, two bidirectional recurrent layers, a linear layer."""

    def __init__(self, kind):
        super().__init__()
        self.embedding = nn.Embedding(50, 24)
        self.layers = kind(24, 40, 2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(80, 50)

    def forward(self, tokens):
        return self.head(self.layers(self.embedding(tokens))[0])


def signal():
    return nn.Sequential(
        nn.Conv1d(2, 16, 9, 2, 4),
        nn.PReLU(16),
        nn.MaxPool1d(3, 2, 1),
        nn.Conv1d(16, 16, 3, padding=2, dilation=2, groups=4),
        nn.Softplus(),
        nn.AvgPool1d(2),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(16, 3),
        nn.Softmax(-1),
    )


def volume():
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool3d(2), nn.ConvTranspose3d(4, 2, 3, 2, 1, 1)
    )


NETWORKS = {
    "squeeze and excite": (SqueezeExcite, (2, 3, 40, 36)),
    "u-net": (UNet, (2, 1, 20, 12)),
    "transformer": (Transformer, (2, 3, 32, 32)),
    "lstm": (lambda: Recurrent(nn.LSTM), (2, 11)),
    "gru": (lambda: Recurrent(nn.GRU), (2, 11)),
    "signal": (signal, (2, 2, 101)),
    "volume": (volume, (1, 1, 9, 9, 9)),
}


def prune(model):
    """Sets about 85 % of every matrix and kernel to zero, at random."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= torch.rand_like(parameter) > 0.85


@pytest.mark.parametrize("pruned", [False, True], ids=["dense", "pruned"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_an_exported_network_equals_onnxruntime(name, pruned, tmp_path):
    import onnxruntime

    torch.manual_seed(0)
    make, size = NETWORKS[name]
    model = make().eval()
    if pruned:
        prune(model)
    x = torch.randint(0, 50, size) if len(size) == 2 else torch.randn(size)
    path = tmp_path / "x.onnx"
    dynamic = {"x": {0: "batch"}}
    names = ["x"]
    torch.onnx.export(
        model, (x,), path, dynamo=False, input_names=names, dynamic_axes=dynamic, opset_version=18
    )
    pack_file(path, tmp_path / "x.lac", program=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    reference = onnxruntime.InferenceSession(path.read_bytes(), options)
    session = runtime.load(tmp_path / "x.lac", engine="native")
    for batch in (2, 3):
        array = np.repeat(x.numpy(), 2, 0)[:batch]
        (expected,) = reference.run(None, {"x": array})
        (found,) = session.run(array)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
