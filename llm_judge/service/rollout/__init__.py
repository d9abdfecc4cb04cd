"""A revision on trial: loading, judging beside the one in force, comparing, and going back."""
