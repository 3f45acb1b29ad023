"""The one error type for a user's mistake. The command line prints it as one line and exits with status 2."""


class InputError(ValueError):
    """A mistake in what the user gave. The message names the file or value, what is allowed, and the fix."""
