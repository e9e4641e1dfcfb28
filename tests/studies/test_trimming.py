"""Network Trimming: rounds of the rule and the training, and what the table says of each."""

from dataclasses import replace

import pytest

from laconic.measure import Latency, Receipt, TensorRecord
from laconic.studies import trimming as module
from laconic.studies.trimming import NETWORKS, recipe


def receipt(kind, parameters, error, widths, size=1000, stage=1):
    tensors = [
        TensorRecord(f"{name}.weight", [width, 7], "F32", [], "raw", 1, 1, 1, 1)
        for name, width in zip(("conv2", "fc1"), widths, strict=True)
    ]
    tensors.append(TensorRecord("bn.num_batches_tracked", [], "I64", [], "raw", 1, 1, 1, 1))
    return Receipt(
        size_bytes=size, float32_bytes=1, parameters=parameters, nonzeros=1, macs=parameters,
        effective_macs=9, peak_memory_bytes=1, latency=Latency(1.0, 1.0, 1.0, 1, 1, ""),
        metric_name="error_percent", higher_is_better=False,
        metric={"validation": error, "test": error}, stage=stage, kind=kind, arguments={},
        seconds=1.0, seed=0, versions={}, tensors=tensors,
    )  # fmt: skip


def receipts(parameters=120_000, error=0.9, size=500):
    return [
        receipt("fit", 431_080, 0.8, (50, 500), 1600),
        receipt("trim", 300_000, 1.4, (42, 420), 1200, 2),
        receipt("fit", 300_000, 0.9, (42, 420), 1200, 3),
        receipt("trim", parameters, 1.2, (30, 250), size, 4),
        receipt("fit", parameters, error, (30, 250), size, 5),
    ]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.model)
def test_trimming_and_training_take_turns(network):
    first, *rounds = recipe(network, short=False).stages
    assert first.arguments["epochs"] == network.epochs
    assert [stage.kind for stage in rounds] == ["trim", "fit"] * network.rounds
    assert rounds[-1].arguments["epochs"] == network.last_epochs
    assert {s.arguments["epochs"] for s in rounds[1:-1:2]} == {network.round_epochs}


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, [True, True, True]),
        ({"parameters": 143_694}, [False, True, True]),
        ({"error": 0.91}, [True, False, True]),
        ({"size": 1600}, [True, True, False]),
    ],
    ids=["all", "2.9999 times", "0.11 points", "no byte less"],
)
def test_goals_are_parameters_error_and_bytes(changes, met):
    rows = module._rows(NETWORKS[0], receipts(**changes), short=False)
    assert [row.met for row in rows] == met


def test_fine_tuning_counts_the_size_of_the_network_in_each_round():
    """Two epochs of 300,000 multiply-adds and three of 120,000; the dense training is apart."""
    given, rounds = receipt("", 431_080, 90.0, (50, 500), 1600, 0), receipts()
    epochs = {1: 6, 3: 2, 5: 3}
    rounds = [
        replace(one, arguments={"epochs": epochs[one.stage]} if one.kind == "fit" else {})
        for one in rounds
    ]
    assert module.tuned_epochs([given, *rounds]) == (2 * 300_000 + 3 * 120_000) / 120_000


def test_the_table_has_a_line_for_the_dense_network_and_each_round():
    table = module._table(NETWORKS[0], receipts())
    assert [line[:5] for line in table.lines] == [
        ["dense", "50", "500", "431,080", "1.00×"],
        ["round 1", "42", "420", "300,000", "1.44×"],
        ["round 2", "30", "250", "120,000", "3.59×"],
    ]
    assert len(table.header) == len(table.lines[0])
