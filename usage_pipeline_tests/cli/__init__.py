"""The verbs, as processes of their own."""
