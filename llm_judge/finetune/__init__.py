"""Training the packaged model to read guidelines: rows in, token trees, a LoRA adapter out."""
