"""From a file of rows to a task: what can be seen of the file, and the card that says it."""
