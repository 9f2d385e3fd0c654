"""Figures of benchmarks, for print, the same bytes for the same numbers."""
