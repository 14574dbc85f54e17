"""The commands of the command line, one a file; each has ``add_arguments`` and ``run``."""
