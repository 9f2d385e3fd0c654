"""The command line: thin adapters over `onnes.tools`, and the maintenance verbs."""
