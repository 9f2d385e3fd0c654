"""Learned property models on the features of pretrained potentials."""
