"""What the tests of constrained answers share: compilers for two vocabularies, and random
walks over the allowed tokens."""

import random

import pytest
import torch

from chat.test_ids import TOKENIZERS as CHAT_TOKENIZERS
from speciale.chat import DSML, EOS, THINK_CLOSE
from speciale.engine.grammar import GrammarCompiler
from speciale.train.bpe import train_tokenizer

EOS_ID = 1
OWN = train_tokenizer(
    [
        '<invoke name="get">\n\n</invoke>\n<parameter name="city" string="true">text</' * 9,
        '{"name": "Paris", "list": [1, 2.5, true, null], "o": {}}\n}]}"}],\n  "' * 9,
        "def f(x): return 'a' < 3 / 2 </b> 你好，世界 é 😀" * 3,
    ],
    520,
)
COMPILERS = {
    # Both models have more rows than tokens.
    "own": GrammarCompiler(OWN, EOS_ID, 600),
    "deepseek": GrammarCompiler(CHAT_TOKENIZERS["deepseek"], EOS_ID, 129280),
}
TOKENIZERS = {name: compiler.vocabulary.tokenizer for name, compiler in COMPILERS.items()}
anyone = pytest.mark.parametrize("name", COMPILERS)

ANY = {"type": "string"}


def function(name, properties, required=(), **more):
    parameters = {"type": "object", "properties": properties, "required": list(required), **more}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def refused_at(matcher, ids):
    """The place of the first of `ids` that is not allowed, or None."""
    for place, token in enumerate(ids):
        if not matcher.allowed()[token]:
            return place
        matcher.accept(token)
    return None


def text_ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def accepts(name, spec, text):
    """Whether `text`, in which marks are marks, is a whole answer."""
    ids = [*text_ids(TOKENIZERS[name], text), EOS_ID]
    return refused_at(COMPILERS[name].matcher(spec), ids) is None


# What ends something; "z" is what one of the patterns waits for.
CLOSING = (EOS, DSML, THINK_CLOSE, '"', "}", "]", "</", "<", "/", ">", "z")


def walk(name, spec, seed, free=40, longest=600):
    """A random answer as text: any allowed tokens at first, then those that close what is open.
    None where it does not end."""
    compiler, tokenizer = COMPILERS[name], TOKENIZERS[name]
    draw = random.Random(seed)
    closing = [token for token in map(tokenizer.token_to_id, CLOSING) if token is not None]
    closing += text_ids(tokenizer, "\n")
    matcher, ids = compiler.matcher(spec), []
    free = draw.randrange(free)
    while not matcher.finished:
        mask = matcher.allowed()
        assert mask.shape == (compiler.vocabulary.size,) and mask.dtype == torch.bool
        assert not mask[tokenizer.get_vocab_size() :].any()
        assert mask[EOS_ID] == matcher.can_stop
        allowed = mask.nonzero().squeeze(1).tolist()
        if len(ids) >= free:
            closers = [token for token in closing if mask[token]]
            if mask[EOS_ID]:
                closers = [EOS_ID]
            allowed = closers if closers and draw.random() < 0.8 else allowed
        if len(ids) == longest:
            return None
        ids.append(draw.choice(allowed))
        matcher.accept(ids[-1])
    return tokenizer.decode(ids, skip_special_tokens=False)


def walks(name, spec, count):
    texts = [text for seed in range(count) if (text := walk(name, spec, seed)) is not None]
    assert len(texts) >= count / 2
    return texts
