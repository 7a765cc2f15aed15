"""What a user can cause: one exception for what is wrong, one for what was asked for."""

from .output import printable


class EqspikeError(ValueError):
    """A bad value, a missing or broken file, no disk, no network.

    Its message is one line that says what is wrong, where, and what to do. The command line prints it and
    exits with code 2.
    """

    def __init__(self, message: object) -> None:
        """File names, settings and servers' answers may hold line breaks and control characters: it has neither."""
        super().__init__(printable(message))


class Interrupted(Exception):
    """Somebody asked for an end. Where training stood is in the run file."""
