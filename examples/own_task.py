r"""Your own data and your own network: everything laconic needs to know, in one file.

    laconic compress examples/own_task.py:model --task examples/own_task.py:task \
        --recipe examples/own_task.toml -o wine.lac

Run the file itself to see how good the network becomes before anything is compressed.
"""

import torch
from sklearn.datasets import load_wine
from torch import nn

from laconic.train.array_task import ArrayTask


def model() -> nn.Module:
    """13 chemical measurements of a wine → logits of its three growers."""
    return nn.Sequential(
        nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3)
    )


def task() -> ArrayTask:
    """178 wines: every fourth one tests; `ArrayTask` takes the validation data from the others."""
    wines = load_wine()
    inputs = torch.tensor(wines.data, dtype=torch.float32)
    targets = torch.tensor(wines.target)
    is_test = torch.arange(len(targets)) % 4 == 0
    # Mean and deviation come from the training rows alone: the test data stay unseen.
    mean, deviation = inputs[~is_test].mean(0), inputs[~is_test].std(0)
    inputs = (inputs - mean) / deviation
    return ArrayTask(
        inputs[~is_test], targets[~is_test], inputs[is_test], targets[is_test],
        validation_fraction=0.2, batch_size=16,
    )  # fmt: skip


if __name__ == "__main__":
    torch.manual_seed(0)
    network, wine = model(), task()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for epoch in range(30):
        for inputs, targets in wine.batches("train", seed=epoch):
            optimizer.zero_grad()
            wine.loss(network(inputs), targets).backward()
            optimizer.step()
    scores = [
        wine.score(network(inputs), targets) for inputs, targets in wine.batches("validation")
    ]
    print(f"{wine.metric} on the validation split: {torch.cat(scores).mean():.1f}")
