"""Runs beside each other: all of the present commit, or two of any."""
