"""Receipts on disk, and which of them is the dense network's."""

from dataclasses import replace

import pytest

from laconic.errors import DataError
from laconic.measure import (
    Latency,
    Receipt,
    TensorRecord,
    dense_receipt,
    from_json,
    read,
    to_json,
)

TENSOR = TensorRecord("fc.weight", [2, 3], "F32", [], "plain raw", 24, 6, 6, 6, [0.5, 1.5], [6])
RECEIPT = Receipt(
    size_bytes=100,
    float32_bytes=400,
    parameters=6,
    nonzeros=6,
    macs=6,
    effective_macs=6,
    peak_memory_bytes=1000,
    latency=Latency(0.5, 0.4, 0.7, 30, 1, "an engine"),
    metric_name="error_percent",
    higher_is_better=False,
    metric={"validation": 1.5},
    stage=1,
    kind="fit",
    arguments={"epochs": 3, "layers": ["a"]},
    seconds=2.0,
    seed=0,
    versions={"python": "3"},
    tensors=[TENSOR],
)


def pruned(*steps: str) -> Receipt:
    return replace(RECEIPT, tensors=[replace(TENSOR, steps=list(steps))])


def test_the_ratio_is_float32_bytes_over_file_bytes():
    assert RECEIPT.ratio == 4.0


def test_receipts_come_back_from_json_as_they_were():
    receipts = [RECEIPT, pruned("Prune(sparsity=0.5)")]
    assert from_json(to_json(receipts)) == receipts


def test_a_metric_of_a_whole_number_is_a_number():
    assert from_json(to_json([replace(RECEIPT, metric={"test": 3})]))[0].metric == {"test": 3}


def test_receipts_are_read_from_their_directory(tmp_path):
    (tmp_path / "receipts.json").write_text(to_json([RECEIPT]))
    assert read(tmp_path) == [RECEIPT]


def test_a_directory_without_receipts_is_named(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'receipts.json'}: No such file or directory; is {tmp_path} a run directory?"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "Expecting value", id="nothing"),
        pytest.param("{}", "a list is needed, not a dict", id="a table"),
        pytest.param("[3]", "not subscriptable", id="a number"),
        pytest.param("[{}]", "latency", id="an empty receipt"),
        pytest.param("[" * 99999, "recursion", id="brackets without end"),
        pytest.param(
            to_json([RECEIPT]).replace('"macs": 6', '"macs": "six"'),
            "macs is 'six'; a whole number is needed",
            id="a text for a number",
        ),
        pytest.param(to_json([RECEIPT]).replace('"macs"', '"mocs"'), "mocs", id="an unknown field"),
        pytest.param(
            to_json([RECEIPT]).replace('"median_ms": 0.5', '"median_ms": null'),
            "median_ms is None; a number is needed",
            id="a latency of nothing",
        ),
        pytest.param(
            to_json([RECEIPT]).replace('"F32"', "32"), "dtype is 32; a text", id="a faulty tensor"
        ),
    ],
)
def test_damaged_receipts_are_refused(tmp_path, text, message):
    (tmp_path / "receipts.json").write_text(text)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(
        f"{tmp_path / 'receipts.json'} is damaged: these are no receipts of a run: "
    )
    assert message in str(caught.value)


def test_receipts_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "receipts.json").write_bytes(b"\xff")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert f"{tmp_path / 'receipts.json'} is damaged: 'utf-8' codec" in str(caught.value)


def test_the_dense_receipt_is_the_last_before_a_weight_was_restricted():
    trained = replace(RECEIPT, stage=2)
    assert dense_receipt([RECEIPT, trained, pruned("Prune(sparsity=0.5)"), RECEIPT]) is trained


def test_a_tied_tensor_is_not_a_restricted_one():
    tied = replace(pruned("same as fc0.weight"), stage=2)
    assert dense_receipt([RECEIPT, tied, pruned("Prune(sparsity=0.5)")]) is tied


def test_no_receipts_have_no_dense_one():
    with pytest.raises(DataError, match="a run without receipts has nothing to compare"):
        dense_receipt([])
