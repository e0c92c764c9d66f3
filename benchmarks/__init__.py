"""What the product is measured against, on data of its own: benchmarks, not tests.

`world` makes the data, the same on every build; `peers` are the tools a user would pick instead. No room of
`usage_pipeline` imports anything from here.
"""
