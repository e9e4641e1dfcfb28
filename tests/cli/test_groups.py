"""laconic groups and laconic sensitivity."""

import pytest


def test_groups_say_what_couples_them(laconic):
    ended = laconic("groups", "zoo:lenet5", "--shape", "1,1,28,28")
    assert ended.code == 0
    lines = [line.rstrip() for line in ended.out.splitlines()]
    assert lines[:3] == [
        "conv1: 20 units",
        "  rows    conv1 (weight, bias)",
        "  columns conv2 (weight)",
    ]
    assert lines[4].startswith("  by      convolution, they are summed over: conv2, lenet.py, line")
    assert "fc2.weight: output: it is an output of the network" in ended.out


def test_groups_as_json(laconic):
    data = laconic("groups", "zoo:lenet5", "--task", "digits", "--json").json
    sizes = {group["name"]: group["units"] for group in data["groups"]}
    assert sizes == {"conv1": 20, "conv2": 50, "fc1": 500}
    place = {"tensor": "fc1.weight", "dimension": 1, "each": 16, "side": "columns"}
    assert place in data["groups"][1]["places"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --task, or the --shape of an input such as 1,3,32,32; one of them"),
        (["--shape", "1,x"], "--shape 1,x is no list of sizes such as 1,3,32,32"),
        (["--shape", "1,0,28,28"], "--shape 1,0,28,28: every size must be 1 or more"),
    ],
    ids=["no example", "no numbers", "nothing"],
)
def test_an_example_is_needed(laconic, options, message):
    ended = laconic("groups", "zoo:lenet5", *options)
    assert ended.code == 2
    assert message in ended.err


def test_a_network_that_cannot_be_traced_gets_one_line(laconic, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        x = super().forward(x)\n"
        "        return 2 * x if x.sum() > 0 else x\n"
        "def model(): return Net(4, 4)\n"
    )
    ended = laconic("groups", f"{tmp_path / 'net.py'}:model", "--shape", "1,4")
    assert ended.code == 1
    assert " ".join(ended.err.split()).startswith("failed: the network cannot be traced: ")
    assert "(in net.py, line 5: return 2 * x if x.sum() > 0 else x)" in ended.err.replace("\n", " ")
    assert "def forward" not in ended.err


def test_sensitivity_writes_figures_and_a_picture(laconic, tmp_path):
    options = ["--task", "digits", "--levels", "0.5", "--layer", "fc*", "--examples", "50"]
    ended = laconic("sensitivity", "zoo:lenet5", "-o", tmp_path / "s.json", *options)
    assert ended.code == 0
    assert "fc1.weight" in ended.out
    assert (tmp_path / "s.svg").read_text().startswith("<svg")
    again = laconic("sensitivity", "zoo:lenet5", "-o", tmp_path / "s.json", *options, "--json")
    assert [point["layer"] for point in again.json["points"]] == ["fc1.weight", "fc2.weight"]


def test_levels_that_are_no_numbers_are_refused(laconic, tmp_path):
    ended = laconic("sensitivity", "lenet5", "--task", "digits", "-o", tmp_path / "s.json",
                    "--levels", "a,b")  # fmt: skip
    assert ended.code == 2
    assert "--levels a,b is no list of fractions such as 0.5,0.9" in ended.err
