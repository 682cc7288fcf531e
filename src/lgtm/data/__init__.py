"""From raw rows to roles: reading a task's files, hub data or generator, and giving every sample its one role."""
