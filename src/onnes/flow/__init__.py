"""Stages, funnels and engines: how tables travel. Knows nothing of physics."""
