"""Actions: one function per tool of the registry, on the sets of a study; see `onnes.tools.call`."""
