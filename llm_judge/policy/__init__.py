"""Guidelines as typed data: model, loading from YAML, and cases."""
