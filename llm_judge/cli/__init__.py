"""The command line: one file per command group; every library it needs is imported when a command runs."""
