"""One registry of what a user can do; Python, the command line and every later face are thin adapters of it."""
