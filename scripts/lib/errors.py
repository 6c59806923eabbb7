"""The error that a user is meant to read."""

from __future__ import annotations


class InputError(Exception):
    """Bad input: the message is one line that names the file, row or key, and the program exits with code 2."""


class EchoedError(InputError):
    """The same bad input as the first process of a job found: that one tells it, this one only ends alike."""


class Refusal(Exception):
    """What comes after a check is refused, since the check failed: the message is one line, exit code 1."""


class Stopped(Exception):
    """Work that was asked to stop and has saved its state: the same command goes on from there; exit code 75.

    75 is EX_TEMPFAIL of BSD's sysexits.h, "try again later": like any code but 0 it lets a profile's `retries` go on.
    """
