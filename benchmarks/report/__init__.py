"""What was measured, as a document, as a table, as a page with its chart."""
