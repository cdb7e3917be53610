"""Checkpoints made into other checkpoints: layouts, precisions, indexers for a dense model."""
