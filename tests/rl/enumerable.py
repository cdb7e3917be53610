"""A policy whose every sequence can be summed over: a table of logits for each prefix."""

import itertools

import torch

VOCAB, LENGTH = 3, 3
SEQUENCES = list(itertools.product(range(VOCAB), repeat=LENGTH))
PREFIXES = [p for n in range(LENGTH) for p in itertools.product(range(VOCAB), repeat=n)]
_PLACE = {prefix: n for n, prefix in enumerate(PREFIXES)}
# [S, T]: which row of the table, and which column, gives each token of each sequence.
_ROWS = torch.tensor([[_PLACE[s[:t]] for t in range(LENGTH)] for s in SEQUENCES])
_TOKENS = torch.tensor(SEQUENCES)


def table(seed, scale=1.0):
    """Logits [P, V] in double precision."""
    return scale * torch.randn(
        len(PREFIXES), VOCAB, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def logps(logits):
    """Log-probs of each token of every sequence, [S, T]."""
    return logits.log_softmax(-1)[_ROWS, _TOKENS]


def chances(logits):
    """Of the sequences, [S]."""
    return logps(logits).sum(-1).exp()


def gradient(of, logits):
    """The gradient of a scalar function at `logits`, by automatic differentiation."""
    leaf = logits.clone().requires_grad_()
    of(leaf).backward()
    return leaf.grad


def slope(of, logits, step=1e-6):
    """The same by central differences: it knows nothing of how the function is written."""
    found = torch.zeros_like(logits)
    for place in range(logits.numel()):
        delta = torch.zeros_like(logits).flatten()
        delta[place] = step
        delta = delta.view_as(logits)
        found.view(-1)[place] = (of(logits + delta) - of(logits - delta)) / (2 * step)
    return found


def kl_by_prefix(logits, ref, weights):
    """Sum over prefixes of weights [P] times KL(pi || pi_ref) of the next token, exact."""
    p, q = logits.log_softmax(-1), ref.log_softmax(-1)
    return (weights * (p.exp() * (p - q)).sum(-1)).sum()


def prefix_chances(logits):
    """How likely each prefix is to be reached, [P]."""
    of = {(): torch.tensor(1.0, dtype=torch.float64)}
    p = logits.softmax(-1)
    for prefix in PREFIXES[1:]:
        of[prefix] = of[prefix[:-1]] * p[_PLACE[prefix[:-1]], prefix[-1]]
    return torch.stack([of[prefix] for prefix in PREFIXES])
