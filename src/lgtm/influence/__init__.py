"""The paper's mathematics. Start with identity.py, whose docstring has every convention of sign and scale.

direction.py makes the direction that a student is differentiated in; validation.py asks whether the scores mean
anything.
"""
