"""The registry of all Steps, with those that other packages install."""

from importlib.metadata import EntryPoint

import pytest

from laconic import prune, quantize, share
from laconic.errors import UsageError
from laconic.prune import Prune
from laconic.train import step_classes, step_names, steps


class Halve(Prune):
    """Somebody's own step."""


class Namesake(Halve):
    """A class whose name is taken."""


Namesake.__name__ = "Prune"


@pytest.fixture
def install(monkeypatch):
    """Let a class of this module be installed under a name; the registry is read anew."""
    step_names.cache_clear()

    def put(name: str, attribute: str) -> None:
        point = EntryPoint(name, f"{__name__}:{attribute}", "laconic.steps")
        monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[self.attr])
        monkeypatch.setattr(steps, "entry_points", lambda group: [point])

    yield put
    step_names.cache_clear()


def test_the_built_in_steps_by_both_names():
    built_in = prune.STEPS | share.STEPS | quantize.STEPS
    assert step_names() == built_in
    assert {"prune", "share", "uniform", "affine"} <= set(built_in)
    assert list(step_classes()) == [kind.__name__ for kind in built_in.values()]
    assert step_classes()["Prune"] is step_names()["prune"] is Prune


def test_an_installed_step_stands_beside_them(install):
    install("halve", "Halve")
    assert step_names()["halve"] is Halve
    assert step_classes()["Halve"] is Halve


@pytest.mark.parametrize(
    ("name", "attribute", "message"),
    [
        ("prune", "Halve", "takes a name that another Step has already"),
        ("better", "Namesake", "takes a name that another Step has already"),
        ("not", "EntryPoint", "the entry point not = '.*:EntryPoint' is no Step"),
    ],
    ids=["a name in recipes", "a class name", "something else"],
)
def test_what_cannot_be_registered_is_refused(install, name, attribute, message):
    install(name, attribute)
    with pytest.raises(UsageError, match=message):
        step_names()
