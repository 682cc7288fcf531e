"""Bad input, a table for each kind: what is wrong where, what is run, and what the one line has to say."""
