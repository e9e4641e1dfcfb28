"""Where linear grids end: each rule by its definition, and what clipping gains."""

import math

import pytest
import torch
from torch import nn

from laconic.errors import UsageError
from laconic.quantize import CLIPS, Affine, Uniform, UniformFull, clip_ends
from laconic.quantize.clipping import gauss_reach, laplace_reach, squared_error
from laconic.represent import represent

KINDS = [Uniform, UniformFull, Affine]
RULES = [name for name in CLIPS if name != "none"]


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def laplace(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centred = torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.5
    return (-torch.sign(centred) * torch.log1p(-2 * centred.abs())).float()


def error(step, weight):
    step.fit(weight)
    return float((step(weight).double() - weight.double()).square().sum())


WEIGHT = torch.cat([laplace(8, 300) + 0.1, torch.tensor([[9.0, -14.0, 0.0, 0.0]]).repeat(8, 1)], 1)
WEIGHT[0, -3] = -25.0


@pytest.mark.parametrize("kind", KINDS)
def test_every_clip_gives_other_values_than_every_other(kind):
    """A study whose range modes had identical rows did not look at its flags."""
    steps = [kind(4, clip=name) for name in CLIPS] + [kind(4, clip="sigma:2")]
    steps.append(kind(4, clip="percentile:95"))
    for step in steps:
        step.fit(WEIGHT)
    outputs = [step(WEIGHT) for step in steps]
    for i, one in enumerate(outputs):
        for j in range(i):
            assert not torch.equal(one, outputs[j]), (str(steps[i]), str(steps[j]))


def test_the_three_range_modes_give_three_outputs():
    outputs = []
    for kind in KINDS:
        step = kind(4)
        step.fit(WEIGHT)
        outputs.append(step(WEIGHT))
    assert all(not torch.equal(outputs[i], outputs[j]) for i in range(3) for j in range(i))


@pytest.mark.parametrize("axis", [None, 0], ids=["one scale", "by channel"])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_no_clip_has_a_smaller_error_than_the_one_that_looks_for_it(kind, bits, axis):
    weight = WEIGHT * torch.logspace(-3, 3, 8)[:, None]
    best = error(kind(bits, axis=axis, clip="mse"), weight)
    for name in CLIPS:
        if name != "average" or axis is None:
            assert best <= error(kind(bits, axis=axis, clip=name), weight) * (1 + 1e-6), name
    if bits < 8:
        assert best < error(kind(bits, axis=axis), weight)


@pytest.mark.parametrize("bits", [2, 3, 5])
@pytest.mark.parametrize("kind", [Uniform, UniformFull])
def test_the_least_error_is_that_of_brute_force(kind, bits):
    sample, grid = laplace(1, 3000), kind(bits)
    peak = sample.abs().max()
    tried = [peak * i / 400 for i in range(4, 401)]
    searched = min(float(squared_error(sample, -end[None], end[None], grid)) for end in tried)
    found = float(squared_error(sample, *clip_ends("mse", sample, grid), grid))
    assert found <= 1.003 * searched
    for name in ("aciq-laplace", "aciq-gauss", "sigma", "percentile"):
        assert found < 0.9999 * float(squared_error(sample, *clip_ends(name, sample, grid), grid))


@pytest.mark.parametrize("folded", [False, True], ids=["both signs", "behind a ReLU"])
@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8, 16])
@pytest.mark.parametrize(
    ("name", "draw"),
    [("aciq-gauss", gaussian), ("aciq-laplace", laplace)],
    ids=["gauss", "laplace"],
)
def test_aciq_is_the_optimum_that_brute_force_finds(name, draw, bits, folded):
    kind, sample = (Affine, draw(1, 20_000).relu()) if folded else (Uniform, draw(1, 20_000))
    grid, peak = kind(bits), sample.abs().max()
    least = -peak if not folded else torch.zeros(())
    low, high = clip_ends(name, sample, grid)
    searched = [
        float(squared_error(sample, (least * i / 100)[None], (peak * i / 100)[None], grid))
        for i in range(4, 101)
    ]
    assert float(squared_error(sample, low, high, grid)) <= 1.1 * min(searched)
    found = float(peak) * (searched.index(min(searched)) + 4) / 100
    assert float(high) == pytest.approx(found, rel=0.12)


def test_aciq_has_the_factors_of_its_paper():
    """arXiv:1810.05723, section 4: 2.83 b, 3.89 b and 5.03 b for 2, 3 and 4 bits."""
    published = {2: 2.83, 3: 3.89, 4: 5.03}
    assert {bits: laplace_reach(2**bits) for bits in published} == pytest.approx(
        published, abs=0.01
    )


@pytest.mark.parametrize("bits", range(2, 17))
def test_aciq_solves_its_equations_at_all_bits(bits):
    """Their left sides, written anew, are least where `laplace_reach` and `gauss_reach` say."""
    steps = 2**bits

    def laplacian(a):
        return 2 * math.exp(-a) + a * a / (3 * steps**2)

    def normal(a):
        density = math.sqrt(2 / math.pi) * a * math.exp(-a * a / 2)
        return (a * a + 1) * math.erfc(a / math.sqrt(2)) - density + a * a / (3 * steps**2)

    for curve, reach in ((laplacian, laplace_reach(steps)), (normal, gauss_reach(steps))):
        assert curve(reach) < min(curve(reach * 0.98), curve(reach * 1.02))


def test_the_average_is_taken_over_the_rows():
    """Of weights the mean over output channels, as in Distiller."""
    weight = torch.tensor([[-1.0, 4.0, 0.5], [-3.0, 2.0, 0.5]])
    low, high = clip_ends("average", weight[None], Affine(8))
    assert (low.tolist(), high.tolist()) == ([-2.0], [3.0])
    step = Uniform(8, clip="average")
    step.fit(weight)
    assert step.scale.tolist() == pytest.approx([3 / 127])


def test_the_average_by_channel_is_refused():
    with pytest.raises(UsageError, match=r"'average' takes the mean over the channels.*axis 0"):
        Uniform(4, axis=0, clip="average")


def test_sigma_counts_deviations_from_the_mean():
    weight = torch.tensor([[1.0, 3.0, 1.0, 3.0, 0.0, 0.0]])  # mean 2, σ 1, zeros apart
    low, high = clip_ends("sigma:0.5", weight, Affine(8))
    assert (low.tolist(), high.tolist()) == ([0.0], [2.5])


def test_a_percentile_is_a_rank():
    magnitudes = torch.arange(1.0, 101.0)[None]
    signs = torch.where(torch.arange(100) % 2 == 0, 1.0, -1.0)
    assert clip_ends("percentile:90", magnitudes * signs, Uniform(8))[1].tolist() == [90.0]
    assert clip_ends("percentile:90", magnitudes, Affine(8))[1].tolist() == [90.0]
    low, high = clip_ends("percentile:90", torch.arange(-50.0, 50.0)[None] + 0.5, Affine(8))
    assert (low.tolist(), high.tolist()) == ([-45.5 + 1], [45.5 - 1])


def test_zeros_of_a_pruned_weight_do_not_move_the_ends():
    weight = gaussian(1, 500)
    pruned = torch.cat([weight, torch.zeros(1, 9500)], 1)
    for name in ("sigma", "aciq-gauss", "aciq-laplace", "percentile:95", "mse"):
        ends, others = clip_ends(name, weight, Affine(4)), clip_ends(name, pruned, Affine(4))
        assert [end.tolist() for end in ends] == [pytest.approx(end.tolist()) for end in others]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("sign", [1, -1], ids=["positive", "negative"])
def test_the_zero_point_is_always_inside_the_grid(name, sign):
    """Values far from zero: the range is widened to it, whatever the rule says."""
    step = Affine(4, clip=name)
    step.fit(sign * (100 + gaussian(4, 50)))
    assert step.lowest.item() <= 0 <= step.highest.item()
    assert step.highest.item() - step.lowest.item() == 15
    assert step.codes(torch.zeros(1)).tolist() == [0]


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("kind", [Uniform, Affine])
def test_a_constant_tensor_is_kept(kind, name):
    step = kind(3, clip=name)
    weight = torch.full((4, 6), -0.3)
    step.fit(weight)
    torch.testing.assert_close(step(weight), weight, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", [name for name in CLIPS if name != "average"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_of_zeros_has_the_scale_1_under_every_clip(kind, name):
    weight = torch.stack([gaussian(20), torch.zeros(20)])
    step = kind(4, axis=0, clip=name)
    step.fit(weight)
    assert step.scale[1] == 1
    assert step(weight)[1].tolist() == [0.0] * 20


def test_an_outlier_takes_the_range_unless_it_is_clipped():
    """1e30 among values of about 1: kept alone without a clip, or given up with a percentile."""
    weight = gaussian(1, 2000)
    weight[0, 0] = 1e30
    for name in ("none", "mse"):
        step = Uniform(8, clip=name)
        step.fit(weight)
        assert step(weight)[0, 0].item() == pytest.approx(1e30)
        assert int(step.codes(weight).count_nonzero()) == 1
    step = Uniform(8, clip="percentile:99.9")
    step.fit(weight)
    assert step.codes(weight)[0, 0] == 127
    assert step(weight)[0, 0] < 5
    assert int(step.codes(weight).count_nonzero()) > 1900


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ("maximum", "no clip is named 'maximum'; there are: none, average, sigma"),
        ("mse:3", "clip 'mse:3': mse has no figure; write 'mse'"),
        ("sigma:", "clip 'sigma:': '' is not a positive number; write 'sigma:3', say"),
        ("sigma:-1", "'-1' is not a positive number"),
        ("percentile:101", "'101' is not a positive number up to 100; write 'percentile:99.9'"),
    ],
    ids=["an unknown name", "a figure too many", "no figure", "a negative one", "beyond 100"],
)
def test_a_clip_that_cannot_be_meant_is_refused(clip, message):
    with pytest.raises(UsageError, match=message):
        Uniform(4, clip=clip)


def relative_errors(layer, axis, channels_at):
    """Largest error of each output channel over its largest weight."""
    weight = layer.weight.detach().clone()
    represent(layer, Uniform(8, axis=axis))
    apart = (layer.weight.detach() - weight).abs().movedim(channels_at, 0).flatten(1).amax(1)
    return apart / weight.abs().movedim(channels_at, 0).flatten(1).amax(1)


def spread(layer, channels_at):
    """Give the layer's output channels magnitudes that are far apart."""
    count = layer.weight.shape[channels_at]
    sizes = torch.logspace(-4, 4, count)
    with torch.no_grad():
        layer.weight.copy_(gaussian(*layer.weight.shape))
        layer.weight.mul_(sizes.reshape([-1 if i == channels_at else 1 for i in range(4)]))
    return layer


@pytest.mark.parametrize(
    ("layer", "channels_at"),
    [
        (nn.Conv2d(4, 6, 3), 0),
        (nn.ConvTranspose2d(4, 6, 3), 1),
        (nn.Conv2d(6, 6, 3, groups=6), 0),
        (nn.ConvTranspose2d(6, 6, 3, groups=6), 0),
    ],
    ids=["a convolution", "a transposed one", "a depthwise one", "a depthwise transposed one"],
)
def test_output_channels_stand_along_another_axis_in_transposed_convolutions(layer, channels_at):
    """One scale for each of them, or all but the largest channels are lost."""
    right = relative_errors(spread(layer, channels_at), channels_at, channels_at)
    assert float(right.max()) < 1 / 200
    for axis in (None, 1 - channels_at):
        wrong = nn.Module()
        wrong.weight = nn.Parameter(spread(layer, channels_at).parametrizations.weight.original)
        assert float(relative_errors(wrong, axis, channels_at).max()) == 1.0, axis
