"""Formulas without learning: Allen-Dynes, the convex hull and its references."""
