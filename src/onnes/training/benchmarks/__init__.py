"""Benchmarks that print ratios against a peer or a baseline of the same run."""
