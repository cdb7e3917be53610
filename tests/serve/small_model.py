"""A folder with a tiny random model that never ends by itself."""

import torch

from model.configs import random_model, tiny_config
from speciale.chat.markers import EOS
from speciale.chat.tokenizer import save_tokenizer
from speciale.model import save_model
from speciale.train.bpe import train_tokenizer

TOKENIZER = train_tokenizer(['{"name": "What is two plus two?"}\n' * 20], 320)


def write_model(folder, context):
    """Writes model and tokenizer to `folder` and returns it as text."""
    config = tiny_config(
        vocab_size=TOKENIZER.get_vocab_size(), index_topk=10, max_position_embeddings=context
    )
    model = random_model(config)
    with torch.no_grad():
        model.lm_head.weight[TOKENIZER.token_to_id(EOS)] = 0
    save_model(model, folder)
    save_tokenizer(TOKENIZER, folder)
    return str(folder)
