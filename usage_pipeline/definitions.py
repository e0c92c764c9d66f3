"""The composition root: everything Dagster knows of this project, by name."""

import warnings

import dagster as dg

for category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=category)

from usage_pipeline import automation, settings
from usage_pipeline.families.registry import FAMILIES
from usage_pipeline.rollups import assets, check_runs, checks
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.rollups.session_totals_asset import off_spec, session_totals
from usage_pipeline.sources import specs
from usage_pipeline.warehouse import policy
from usage_pipeline.warehouse.connections import open_warehouse

found = policy.at_load(settings.load())
warehouse = open_warehouse(found)
rollups = [each for family in FAMILIES for each in assets.of_family(family, found.first_day)]
totals = session_totals(found.first_day)
opted_in, off = ([totals], []) if found.session_totals else ([], [off_spec(totals)])

defs = dg.Definitions(
    assets=[
        *specs.specs(),
        *off,
        *dg.with_source_code_references(automation.attached([*rollups, *opted_in], warehouse)),
    ],
    asset_checks=[check_runs.of_asset(each, checks.of(each)) for each in ROLLUPS.values()],
    sensors=[automation.sensor(found)],
    resources={"warehouse": warehouse},
    executor=dg.in_process_executor,  # the work is done by the database; a process a step would only cost
)
