"""What a scenario raises when it can say nothing about the queue."""


class Inconclusive(Exception):  # noqa: N818 - it is an outcome, and no error of the queue's
    """The check could not be made, or its fault was not seen to happen.

    Its check is INCONCLUSIVE: red, and never a pass. The message's first line says what stood in
    the way.
    """
