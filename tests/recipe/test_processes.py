"""Two gloo processes run a recipe as one does: one set of receipts, one file."""

from pathlib import Path

import numpy as np
import pytest

from laconic import runtime
from laconic.container import LacFile
from laconic.measure import read

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[int, Path]:
    """Number of processes → the folder of its run."""
    return {count: tmp_path_factory.mktemp(f"processes{count}") for count in (1, 2)}


@pytest.fixture(scope="module")
def said(launch, folders) -> dict[int, list[str]]:
    """Number of processes → what they said, one line each."""
    found = {}
    for count, folder in folders.items():
        done = launch("two_processes.py", folder, processes=count)
        assert done.stdout == ""
        found[count] = sorted(done.stderr.splitlines())
    return found


def test_both_processes_have_all_receipts_and_the_first_alone_reports(said):
    assert [line.split()[:3] for line in said[2]] == [["0", "5", "5"], ["1", "5", "0"]]
    assert said[2][0].split(maxsplit=3)[3] == said[2][1].split(maxsplit=3)[3]


def test_two_processes_leave_one_set_of_receipts(said, folders):
    receipts = read(folders[2] / "run")
    assert [receipt.stage for receipt in receipts] == [1, 2, 3, 4, 5]
    assert receipts[-1].size_bytes == (folders[2] / "x.lac").stat().st_size
    assert "test" in receipts[-1].metric


def test_the_file_of_two_processes_is_sound(said, folders):
    with LacFile(folders[2] / "x.lac") as file:
        file.verify()
    assert runtime.load(folders[2] / "x.lac").check_probe() < 1e-4


def test_two_processes_prune_the_same_weights_and_learn_the_same_values(said, folders):
    with LacFile(folders[1] / "x.lac") as one, LacFile(folders[2] / "x.lac") as two:
        assert list(one.entries) == list(two.entries)
        for name in one.entries:
            expected, found = one.array(name), two.array(name)
            assert np.array_equal(expected == 0, found == 0), name
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_two_processes_score_as_one(said, folders):
    metrics = [read(folders[count] / "run")[-1].metric for count in (1, 2)]
    assert metrics[0] == pytest.approx(metrics[1])


SALIENCIES = ("rank", "fisher", "wanda")


def test_the_masks_of_every_stage_are_the_same_in_both_processes(launch):
    done = launch("two_masks.py")
    lines = [line.split() for line in done.stderr.splitlines() if line.startswith(SALIENCIES)]
    first, second = ({title: digest for title, rank, digest in lines if rank == r} for r in "01")
    assert first == second
    assert len(first) == 18
    assert len(set(first.values())) > 10
