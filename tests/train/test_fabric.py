"""Devices and threads."""

import logging

import pytest
import torch

from laconic.errors import UsageError
from laconic.train import make_fabric


def test_one_process_without_torchrun():
    fabric = make_fabric()
    assert (fabric.world_size, fabric.global_rank) == (1, 0)
    assert fabric.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_number_of_threads_is_set():
    before = torch.get_num_threads()
    try:
        make_fabric("cpu", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_the_logger_keeps_its_level():
    logger = logging.getLogger("lightning_fabric")
    before = logger.level
    make_fabric("cpu")
    assert logger.level == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "gpu"}, "no device is named 'gpu'; there are: cpu, cuda"),
        ({"threads": 0}, "threads is 0; at least 1 is needed"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        make_fabric(**arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without CUDA is meant")
def test_a_missing_cuda_device_is_refused():
    with pytest.raises(UsageError, match="torch finds no CUDA device"):
        make_fabric("cuda")
