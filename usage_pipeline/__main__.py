"""`python -m usage_pipeline VERB`."""

from usage_pipeline.cli import main

main()
