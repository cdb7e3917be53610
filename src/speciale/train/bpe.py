"""A byte-level BPE tokenizer after DeepSeek-V3's (arXiv:2412.19437, section 4.1), trained here.
Text is cut into digits, CJK runs and words; inside these, frequent pairs of tokens are merged."""

import json
import re
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from speciale.chat.markers import BOS, EOS, PAD, SPECIAL_TOKENS
from speciale.errors import ConfigError

SMALLEST_VOCAB = 256 + len(SPECIAL_TOKENS)

# DeepSeek-V3 takes digits in groups of up to three. Here every digit is its own token: a small
# model then learns sums over ten symbols with place value, not a table over 1,110 of them.
_DIGIT = r"\p{N}"
_CJK = r"[一-龥぀-ゟ゠-ヿ]+"
# The alternatives of V3's word pattern, tried in this order at each place.
_WORD = "|".join(
    [
        r"[!-/:-@\[-`{-~][A-Za-z]+",  # one ASCII mark with a word: ".append", "_name"
        r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",  # a word with the space before it
        r" ?[\p{P}\p{S}]+[\r\n]*",  # marks, with the line ends after them: "):\n"
        r"\s*[\r\n]+",  # blank lines
        r"\s+(?!\S)",  # an indent, up to the space that belongs to the word
        r"\s+",
    ]
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn a tokenizer of at most `vocab_size` tokens (fewer where the texts are short).

    Ids: chat.markers.SPECIAL_TOKENS from 0 in their order, then the 256 bytes, then the merges
    from the most frequent on. Every Unicode text survives encode and decode unchanged (a lone
    surrogate is no Unicode text). The same texts give the same tokenizer. Raises ConfigError
    where `vocab_size` has no room for the bytes and the special tokens.
    """
    if vocab_size < SMALLEST_VOCAB:
        raise ConfigError(
            f"A vocabulary of {vocab_size} tokens is too small: 256 bytes and "
            f"{len(SPECIAL_TOKENS)} special tokens need at least {SMALLEST_VOCAB}."
        )
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(p), behavior="isolated") for p in (_DIGIT, _CJK, _WORD)]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Marks inside the texts are whole tokens already: no merge should be spent on their letters.
    marks = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))
    tokenizer.train_from_iterator((p for text in texts for p in marks.split(text)), trainer)
    return _with_v3_flags(tokenizer)


def _with_v3_flags(tokenizer: Tokenizer) -> Tokenizer:
    """Leave only BOS, EOS and PAD "special", as in V3's files: `skip_special_tokens` then drops
    these three, and keeps <think> and the tool marks that a reader of the answer looks for."""
    contents = json.loads(tokenizer.to_str())
    for token in contents["added_tokens"]:
        token["special"] = token["content"] in (BOS, EOS, PAD)
    return Tokenizer.from_str(json.dumps(contents))
