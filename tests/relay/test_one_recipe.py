"""One recipe, two IRs: the tables and plans that the main environment compares with those of the Relax builds.

They are left in the environment's folder `tables`: NETWORK.json is a layer table, NETWORK.plan.yaml the plan of
`WORKFLOW` for it.
"""

import sys
from pathlib import Path

import pytest
from relay.relay_networks import WORKFLOW, network, plan_of

from corecast.adapters.relay import survey
from corecast.model import LayerTable
from corecast.plan import format_plan, read_plan

TABLES = Path(sys.prefix) / "tables"


@pytest.mark.parametrize("name", ["resnet18_b8", "resnet50_b1", "mobilenet_b1", "squeezenet_v11_b1", "densenet121_b1"])
def test_tables_and_plans_travel(name):
    TABLES.mkdir(exist_ok=True)
    table, plan = survey(network(name), name=name), plan_of(WORKFLOW, network(name), name)
    (TABLES / f"{name}.json").write_text(table.model_dump_json())
    (TABLES / f"{name}.plan.yaml").write_text(format_plan(plan))
    assert LayerTable.model_validate_json((TABLES / f"{name}.json").read_text()).fingerprint == table.fingerprint
    assert read_plan(TABLES / f"{name}.plan.yaml") == plan
