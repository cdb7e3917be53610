"""A page on this machine to read a store: `speciale synth browse DIR`."""

from speciale.synth.browse.app import browse_app, serve

__all__ = ["browse_app", "serve"]
