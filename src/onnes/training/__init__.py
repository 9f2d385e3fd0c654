"""Data sets and splits, the one trainer, benchmarks. Maintenance: not needed to use the package."""
