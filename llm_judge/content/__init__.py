"""Content: what is judged, and the perceivers that turn text and media into numbered segments."""
