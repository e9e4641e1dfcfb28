"""A paper's table each: a recipe, the published numbers, ours."""

from laconic.studies.lenet import LENET5, LENET_300_100
from laconic.studies.study import (
    Result,
    Row,
    Study,
    perform,
    read_result,
    results_folder,
    write_result,
)

STUDIES: dict[str, Study] = {study.name: study for study in (LENET_300_100, LENET5)}

__all__ = [
    "STUDIES",
    "Result",
    "Row",
    "Study",
    "perform",
    "read_result",
    "results_folder",
    "write_result",
]
