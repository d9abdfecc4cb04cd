"""LoRA adapters on disk: what a folder holds, what it is called, and the registry that keeps them."""
