"""One fit loop for every stage and objective, evaluation, checkpoints."""

from laconic.train.array_task import ArrayTask
from laconic.train.callback import Callback, Moment
from laconic.train.checkpoint import load_model, save_model
from laconic.train.evaluate import evaluate
from laconic.train.fabric import make_fabric
from laconic.train.fit import fit
from laconic.train.objective import Objective, Penalised, Penalty, TaskLoss
from laconic.train.optimizers import OPTIMIZERS
from laconic.train.progress import EpochRecord, History, Progress
from laconic.train.random_task import RandomInputs
from laconic.train.schedules import SCHEDULES
from laconic.train.shortened import Shortened
from laconic.train.steps import step_classes, step_names
from laconic.train.task import Batch, Split, Task, reported

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "ArrayTask",
    "Batch",
    "Callback",
    "EpochRecord",
    "History",
    "Moment",
    "Objective",
    "Penalised",
    "Penalty",
    "Progress",
    "RandomInputs",
    "Shortened",
    "Split",
    "Task",
    "TaskLoss",
    "evaluate",
    "fit",
    "load_model",
    "make_fabric",
    "reported",
    "save_model",
    "step_classes",
    "step_names",
]
