"""Planners, routes and the evidence record."""
