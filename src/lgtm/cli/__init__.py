"""The command line `lgtm`: a module for each command, which imports what it needs when it runs."""
