"""The chat that everything is measured on: drawn from numbers alone: every build holds the same rows."""
