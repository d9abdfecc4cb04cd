"""Whether rules say what they said before: rates and scores of a window against those of a reference."""
