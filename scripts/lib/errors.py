"""The error that a user is meant to read."""

from __future__ import annotations


class InputError(Exception):
    """Bad input: the message is one line that names the file, row or key, and the program exits with code 2."""
