"""Loads what a command that computes loads, and tells how long that took: nothing else is done."""

import gc
import time

gc.set_threshold(100_000, 20, 20)  # as the program does
began = time.perf_counter()

import dagster_postgres  # noqa: E402, F401

import usage_pipeline.cli  # noqa: E402
import usage_pipeline.cli.program  # noqa: E402
import usage_pipeline.definitions  # noqa: E402
import usage_pipeline.warehouse.dagster_storage  # noqa: E402, F401

print(f"{time.perf_counter() - began:.6f}", flush=True)
