"""The composition root: everything Dagster knows of this project, by name."""

import warnings

import dagster as dg

for category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=category)

from usage_pipeline import automation, settings
from usage_pipeline.rollups import assets
from usage_pipeline.rollups.session_totals_asset import off_spec, session_totals
from usage_pipeline.sources import specs
from usage_pipeline.warehouse import policy
from usage_pipeline.warehouse.connections import open_warehouse

found = policy.at_load(settings.load())
warehouse = open_warehouse(found)
rollups = assets.assets(found.first_day)
totals = session_totals(found.first_day)
opted_in, off = ([totals], []) if found.session_totals else ([], [off_spec(totals)])

defs = dg.Definitions(
    assets=[
        *specs.specs(),
        *off,
        *dg.with_source_code_references(automation.attached([*rollups, *opted_in], warehouse)),
    ],
    asset_checks=assets.asset_checks(),
    sensors=[automation.sensor(found)],
    resources={"warehouse": warehouse},
    executor=dg.in_process_executor,  # the work is done by the database; a process a step would only cost
)
