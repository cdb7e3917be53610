"""Prime Intellect's verifiers (github.com/PrimeIntellect-ai/verifiers): our tasks as one of its
environments, and its environments as tasks. The library is imported by neither until it is needed.
"""
