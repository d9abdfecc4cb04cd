"""A vLLM server that this process starts, watches, restarts and stops."""
