import subprocess
import sys

import pytest
import torch
from torch import Generator

from laconic.errors import DataError
from laconic.train.task import Task
from laconic.zoo import MODELS, TASKS
from laconic.zoo.augment import flip, shift
from laconic.zoo.tasks import cifar10, digits, mnist


def count(task: Task, split: str) -> int:
    return sum(len(targets) for _, targets in task.batches(split))


def test_importing_the_zoo_reads_no_data_and_imports_neither_sklearn_nor_pooch():
    check = "import sys, laconic.zoo; print([name in sys.modules for name in ('sklearn', 'pooch')])"
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False]"


def test_digits_are_split_60_15_25():
    task = digits()
    assert isinstance(task, Task)
    counts = [count(task, split) for split in ("train", "validation", "test")]
    assert counts == [1082, 270, 445]


def test_digits_are_the_same_every_time():
    first, second = digits(), digits()
    assert torch.equal(first.test_inputs, second.test_inputs)
    assert torch.equal(first.train_targets, second.train_targets)


def test_digits_have_a_quarter_of_each_class_in_the_test_split():
    task = digits()
    test, rest = task.test_targets.bincount(), task.train_targets.bincount()
    assert test.tolist() == ((test + rest) // 4).tolist()


def test_digits_fit_the_lenets_and_lie_between_0_and_1():
    task = digits()
    for name in ("lenet-300-100", "lenet5"):
        assert MODELS[name]()(task.example_input).shape == (1, 10)
    assert task.train_inputs.dtype == torch.float32
    assert (task.train_inputs.min().item(), task.train_inputs.max().item()) == (0.0, 1.0)


def test_digits_without_sklearn_say_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r'pip install "laconic\[zoo\]"'):
        digits()


def test_shift_moves_each_image_whole_and_by_every_offset():
    image = torch.zeros(1, 2, 7, 7, dtype=torch.uint8)
    image[:, :, 3, 3] = torch.tensor([5, 9], dtype=torch.uint8)
    moved = shift(image.expand(400, -1, -1, -1), 2, Generator().manual_seed(0))
    assert moved.dtype == torch.uint8
    places = (moved[:, 0] == 5).nonzero()[:, 1:]
    assert len(places) == 400
    assert torch.equal(places, (moved[:, 1] == 9).nonzero()[:, 1:])
    expected = {(row, column) for row in range(1, 6) for column in range(1, 6)}
    assert {tuple(place) for place in places.tolist()} == expected


def test_shift_by_no_pixels_changes_nothing():
    images = torch.rand(3, 1, 4, 5)
    assert torch.equal(shift(images, 0, Generator()), images)


def test_flip_mirrors_about_half_of_the_images():
    images = torch.arange(6).reshape(1, 1, 2, 3).expand(1000, -1, -1, -1)
    flipped = flip(images, Generator().manual_seed(0))
    mirrored = (flipped == images.flip(3)).all(3).all(2).all(1)
    assert torch.equal(flipped[~mirrored], images[~mirrored])
    assert 450 < mirrored.sum() < 550


@pytest.mark.usefixtures("data_folder")
def test_mnist_has_5000_validation_images_and_normalised_inputs():
    task = TASKS["mnist"]()
    counts = [count(task, split) for split in ("train", "validation", "test")]
    assert counts == [55_000, 5_000, 10_000]
    assert task.train_inputs.dtype == torch.uint8
    inputs = torch.cat([inputs for inputs, _ in task.batches("train", seed=1)])
    assert inputs.mean().item() == pytest.approx(0, abs=0.01)
    assert inputs.std().item() == pytest.approx(1, abs=0.01)
    assert task.train_targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert task.test_targets[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.usefixtures("data_folder")
def test_mnist_is_augmented_only_on_request():
    plain, again, moved = mnist(), mnist(), mnist(shift_pixels=2)
    first, second, third = (
        next(task.batches("train", seed=1))[0] for task in (plain, again, moved)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


@pytest.mark.usefixtures("data_folder")
def test_cifar10_is_whole_and_augmented_by_the_seed_alone():
    task = cifar10()
    assert count(task, "validation") == 5_000
    assert task.train_targets.bincount().tolist() == [5_000] * 10
    assert task.test_targets.bincount().tolist() == [1_000] * 10
    # The channel means that the literature gives for the training images.
    means = task.train_inputs.float().mean((0, 2, 3)) / 255
    torch.testing.assert_close(means, torch.tensor([0.4914, 0.4822, 0.4465]), atol=5e-4, rtol=0)
    images, labels = next(task.batches("train", seed=7))
    torch.rand(3)
    again, same_labels = next(task.batches("train", seed=7))
    assert images.shape == (128, 3, 32, 32)
    assert torch.equal(images, again)
    assert torch.equal(labels, same_labels)
    assert MODELS["resnet20"]()(task.example_input).shape == (1, 10)
