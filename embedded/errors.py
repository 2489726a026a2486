"""What this package tells a person, or a shell."""

INTERRUPTED_EXIT = 130  # as a shell has it for Ctrl-C


class StartError(Exception):
    """Something outside our code keeps us from starting. `str()` is one clean sentence for the terminal."""


class InUse(StartError):
    """Another run holds the data folder."""
