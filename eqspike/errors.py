"""The one exception a user can cause."""


class EqspikeError(ValueError):
    """A bad value, a missing or broken file, no disk, no network.

    Its message is one line that says what is wrong, where, and what to do. The command line prints it and
    exits with code 2.
    """
