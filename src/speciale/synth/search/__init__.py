"""The search agent: multi-hop questions over any corpus, kept by rule (V3.2 report, 3.2.3)."""

from speciale.synth.search.author import CORPORA, items, make

__all__ = ["CORPORA", "items", "make"]
