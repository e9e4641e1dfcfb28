"""A paper's table each: a recipe, the published numbers, ours."""

from laconic.studies.architecture import ARCHITECTURE
from laconic.studies.coding import CODING
from laconic.studies.dropneuron import DROPNEURON
from laconic.studies.extreme import EXTREME
from laconic.studies.han import HAN
from laconic.studies.language import AGP_LSTM, CLASS_SCOPES, LOAD_BALANCE
from laconic.studies.lenet import LENET5, LENET_300_100
from laconic.studies.lottery import LOTTERY
from laconic.studies.rethinking import RETHINKING
from laconic.studies.second_order import SECOND_ORDER
from laconic.studies.source3 import SOURCE3
from laconic.studies.study import (
    Control,
    CutNetwork,
    Findings,
    Result,
    Row,
    Study,
    Table,
    perform,
    read_result,
    results_folder,
    write_result,
)
from laconic.studies.trimming import TRIMMING

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        LENET_300_100,
        LENET5,
        CODING,
        HAN,
        LOTTERY,
        SECOND_ORDER,
        DROPNEURON,
        CLASS_SCOPES,
        AGP_LSTM,
        LOAD_BALANCE,
        ARCHITECTURE,
        TRIMMING,
        SOURCE3,
        RETHINKING,
        EXTREME,
    )
}

__all__ = [
    "STUDIES",
    "Control",
    "CutNetwork",
    "Findings",
    "Result",
    "Row",
    "Study",
    "Table",
    "perform",
    "read_result",
    "results_folder",
    "write_result",
]
