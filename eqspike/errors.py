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
    """Somebody asked for an end; its message says where. What was reached is on disk, `hint` says how to go on."""

    def __init__(self, where: str, hint: str = "go on with train --resume") -> None:
        super().__init__(where)
        self.hint = hint
