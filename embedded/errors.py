"""The one error of this package that a person is meant to read."""


class StartError(Exception):
    """Something outside our code keeps us from starting. `str()` is one clean sentence for the terminal."""
