"""The error a user can mend."""


class UserError(ValueError):
    """Something in a config, file or data set is not as it should be.

    The message is one line that names the config key or file and the likely mend; the
    tools print it without a traceback.
    """
