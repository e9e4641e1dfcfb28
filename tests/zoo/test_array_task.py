import pytest
import torch
from torch import Generator, Tensor

from laconic.errors import UsageError
from laconic.train.array_task import ArrayTask
from laconic.train.task import Task

COUNT = 50


def make(**changes) -> ArrayTask:
    """A task whose inputs are the numbers of their rows."""
    rows = torch.arange(COUNT)
    options = {"validation_fraction": 0.2, "batch_size": 16, "eval_batch_size": 7, **changes}
    return ArrayTask(rows[:, None], rows % 3, 1000 + rows[:9, None], rows[:9] % 3, **options)


def noise(inputs: Tensor, generator: Generator) -> Tensor:
    return inputs + torch.rand(inputs.shape, generator=generator)


def read(task: ArrayTask, split: str, **seed: int) -> Tensor:
    return torch.cat([inputs for inputs, _ in task.batches(split, **seed)])


def test_it_is_a_task():
    assert isinstance(make(), Task)


def test_training_and_validation_rows_are_disjoint_and_together_all():
    task = make()
    train, validation = read(task, "train"), read(task, "validation")
    assert len(validation) == 10
    assert torch.cat([train, validation]).flatten().sort().values.tolist() == list(range(COUNT))


def test_validation_rows_are_the_end_of_the_stated_permutation():
    order = torch.randperm(COUNT, generator=Generator().manual_seed(5))
    assert read(make(split_seed=5), "validation").flatten().tolist() == sorted(order[40:].tolist())


def test_targets_stay_with_their_inputs():
    for split in ("train", "validation"):
        for inputs, targets in make().batches(split):
            assert torch.equal(inputs[:, 0] % 3, targets)


def test_training_batches_depend_on_the_seed_alone():
    task = make(augment=noise)
    expected = read(task, "train", seed=3)
    torch.manual_seed(99)
    torch.rand(7)
    read(task, "train", seed=4)
    assert torch.equal(read(make(augment=noise), "train", seed=3), expected)
    assert torch.equal(read(task, "train", seed=3), expected)


def test_reading_batches_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    read(make(augment=noise), "train", seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_two_iterators_read_in_turns_do_not_disturb_each_other():
    task = make(augment=noise)
    pairs = zip(task.batches("train", seed=1), task.batches("train", seed=1), strict=True)
    assert all(torch.equal(first[0], second[0]) for first, second in pairs)


def test_another_seed_gives_another_order():
    assert not torch.equal(read(make(), "train", seed=0), read(make(), "train", seed=1))


def test_another_seed_and_another_batch_are_augmented_differently():
    task = make(augment=noise)
    drawn = torch.cat([read(task, "train", seed=seed) % 1 for seed in (0, 1)])
    # 80 numbers of 24 random bits, less what adding the row number rounds away: hardly two alike.
    assert len(drawn.unique()) > 70


def test_the_last_smaller_training_batch_is_kept():
    assert [len(targets) for _, targets in make().batches("train")] == [16, 16, 8]


def test_test_batches_come_in_order_whatever_the_seed():
    assert read(make(), "test", seed=8).flatten().tolist() == list(range(1000, 1009))
    assert [len(targets) for _, targets in make().batches("test")] == [7, 2]


def test_only_training_batches_are_augmented():
    task = make(augment=lambda inputs, _: inputs * 0 - 1)
    assert (read(task, "train") == -1).all()
    assert (read(task, "validation") >= 0).all()
    assert (read(task, "test") >= 0).all()


def test_augment_sees_stored_bytes_and_the_network_what_transform_makes_of_them():
    seen = []

    def augment(inputs: Tensor, generator: Generator) -> Tensor:
        seen.append(inputs.dtype)
        return inputs

    stored = torch.arange(20, dtype=torch.uint8).reshape(10, 2)
    labels = torch.zeros(10, dtype=torch.int64)
    task = ArrayTask(
        stored, labels, stored, labels, augment=augment, transform=lambda batch: batch / 255
    )
    assert task.train_inputs is stored
    assert {inputs.dtype for inputs, _ in task.batches("train")} == {torch.float32}
    assert seen == [torch.uint8]
    assert torch.equal(read(task, "test"), stored / 255)
    assert torch.equal(task.example_input, stored[:1] / 255)


def test_score_is_the_percentage_of_errors():
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]])
    score = make().score(logits, torch.tensor([1, 0, 0, 0]))
    assert score.tolist() == [0.0, 0.0, 100.0, 0.0]
    assert make().higher_is_better is False


def test_loss_is_the_mean_cross_entropy_for_any_integer_targets():
    logits = torch.zeros(4, 8)
    for dtype in (torch.int64, torch.uint8, torch.int32):
        loss = make().loss(logits, torch.zeros(4, dtype=dtype))
        assert loss.item() == pytest.approx(2.0794415)


def test_a_subclass_may_have_another_loss_and_metric():
    class Regression(ArrayTask):
        metric = "r2"
        higher_is_better = True

        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return (outputs - targets).square().mean()

    rows = torch.arange(10.0)
    task = Regression(rows, rows, rows, rows)
    assert isinstance(task, Task)
    assert task.loss(rows, rows + 2).item() == 4.0
    assert (task.metric, task.higher_is_better) == ("r2", True)


def test_an_unknown_split_is_refused_at_the_call():
    with pytest.raises(UsageError, match="no split 'valid'; the splits are train, validation, tes"):
        make().batches("valid")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 0.001, 7.0])
def test_a_fraction_that_empties_a_split_is_refused(fraction: float):
    with pytest.raises(UsageError, match=rf"validation_fraction {fraction} sets -?\d+ of 50"):
        make(validation_fraction=fraction)


@pytest.mark.parametrize("name", ["batch_size", "eval_batch_size"])
def test_an_empty_batch_is_refused(name: str):
    with pytest.raises(UsageError, match=f"^{name} is 0; a batch needs at least 1 example"):
        make(**{name: 0})


def test_inputs_and_targets_of_different_length_are_refused():
    rows = torch.arange(10)
    with pytest.raises(UsageError, match="test: 10 inputs but 9 targets"):
        ArrayTask(rows, rows, rows, rows[:9])


def test_an_empty_test_split_is_refused():
    rows = torch.arange(10)
    with pytest.raises(UsageError, match="test: there are no examples"):
        ArrayTask(rows, rows, rows[:0], rows[:0])
