"""A family that the product does not know: what holds for it holds for any."""
