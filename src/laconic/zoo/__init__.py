"""Networks, data sets and tasks to try laconic on; it stands aside from the other rooms."""

from laconic.zoo.models import MODELS
from laconic.zoo.resolve import resolve_model, resolve_task
from laconic.zoo.tasks import TASKS

__all__ = ["MODELS", "TASKS", "resolve_model", "resolve_task"]
