"""A student on its way to whoever uses it: which one, what it says of new texts, in which forms it is shipped."""
