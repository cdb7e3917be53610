"""`LLM`: what a caller gets back, and what it refuses."""

import pytest
import torch

from model.configs import random_model, tiny_config
from speciale import LLM, SamplingParams
from speciale.chat.markers import EOS
from speciale.engine.grammar import Json
from speciale.engine.llm import check_device
from speciale.errors import RequestError
from speciale.model.context import Trace
from speciale.train.bpe import train_tokenizer

TOKENIZER = train_tokenizer(['{"answer": [1, 2, "four"]} What is two plus two?\n' * 20], 320)
VOCAB = TOKENIZER.get_vocab_size()
PROMPTS = [[5, 9, 2], [7] * 30, [1, 2, 3, 4]]


def make(**options):
    """A model over the tokenizer's vocabulary that never ends by itself."""
    model = random_model(tiny_config(vocab_size=VOCAB, index_topk=10))
    with torch.no_grad():
        model.lm_head.weight[TOKENIZER.token_to_id(EOS)] = 0
    return LLM(model, TOKENIZER, cache_bytes=4 << 20, **options)


@pytest.fixture(scope="module")
def llm():
    return make(speculate=False)


def sampled(llm, prompts, **changes):
    params = SamplingParams(**{"max_tokens": 12, "seed": 3, "temperature": 1.5, **changes})
    return [[c.ids for c in out.completions] for out in llm.generate(prompts, params)]


def test_a_seed_decides_whatever_else_is_in_the_batch(llm):
    alone = [sampled(llm, [prompt])[0] for prompt in PROMPTS]
    assert sampled(llm, PROMPTS) == alone
    assert sampled(llm, PROMPTS[::-1]) == alone[::-1]
    assert sampled(llm, PROMPTS, seed=4) != alone


@pytest.mark.parametrize("settings", [{}, {"top_p": 0.8, "frequency_penalty": 0.5}, {"top_k": 5}])
def test_drafts_change_no_token(llm, settings):
    drafting = make(speculate=True)
    assert sampled(drafting, PROMPTS, n=3, **settings) == sampled(llm, PROMPTS, n=3, **settings)
    assert drafting.core.policy.proposed > 20 and drafting.core.policy.accepted > 0


def test_samples_differ_and_share_the_prompt(llm):
    prompt = [11] * 100
    [output] = llm.generate([prompt], SamplingParams(n=4, max_tokens=8, seed=1))
    assert [c.index for c in output.completions] == [0, 1, 2, 3]
    assert len({tuple(c.ids) for c in output.completions}) == 4
    assert [c.cached_tokens for c in output.completions[1:]] == [99, 99, 99]


def test_log_probs_are_those_of_what_was_sampled_from(llm):
    params = SamplingParams(max_tokens=10, temperature=0.7, top_p=0.6, seed=1, kept_set=True)
    [done] = llm.generate([PROMPTS[1]], params)[0].completions
    with torch.no_grad():
        logits = llm.core.model(torch.tensor([PROMPTS[1] + done.ids]))[0, len(PROMPTS[1]) - 1 : -1]
    for t, token in enumerate(done.ids):
        kept = torch.from_numpy(done.kept[t]).long()
        expected = (logits[t] / 0.7)[kept].log_softmax(-1)[kept == token]
        assert abs(done.logprobs[t] - float(expected)) < 1e-4
        assert abs(done.model_logprobs[t] - float(logits[t].log_softmax(-1)[token])) < 1e-4


def test_routing_replays_the_very_experts_also_of_cached_prompts(llm):
    prompt = list(range(80))
    for _ in range(2):  # the second time the prompt comes from the cache
        [done] = llm.generate([prompt], SamplingParams(max_tokens=5, seed=2, routing=True))[
            0
        ].completions
        ids = torch.tensor([prompt + done.ids[:-1]])
        trace = Trace()
        with torch.no_grad():
            llm.core.model(ids, trace=trace)
        assert done.routing.shape == (84, len(trace.routing), 2)
        for layer, expected in enumerate(trace.routing):
            found = done.routing[:, layer].long().sort(-1).values
            assert torch.equal(found, expected[0].sort(-1).values)
    assert done.cached_tokens == 79


def test_stop_strings_and_ids(llm):
    free = llm.generate([PROMPTS[0]], SamplingParams(temperature=0, max_tokens=20))[0]
    stop = free.ids[6]
    [done] = llm.generate(
        [PROMPTS[0]], SamplingParams(temperature=0, max_tokens=20, stop_ids=[stop])
    )[0].completions
    assert done.ids == free.ids[: free.ids.index(stop) + 1] and done.stop == stop
    piece = free.text[4:7]
    [done] = llm.generate([PROMPTS[0]], SamplingParams(temperature=0, max_tokens=20, stop=piece))[
        0
    ].completions
    assert done.text == free.text[: free.text.find(piece)]
    assert (done.finish_reason, done.stop) == ("stop", piece)


def test_json_is_json(llm):
    import json

    for seed in range(5):
        params = SamplingParams(max_tokens=None, seed=seed, grammar=Json(), top_k=20)
        done = llm.generate([PROMPTS[0]], params)[0].completions[0]
        if done.finish_reason == "stop":
            assert isinstance(json.loads(done.text), dict)


def test_new_weights_come_between_two_tokens_and_are_stamped(llm):
    llm = make(speculate=False)
    other = random_model(llm.core.model.config, seed=9).state_dict()
    llm.core.add(PROMPTS[1], SamplingParams(temperature=0, max_tokens=12))
    done = None
    for step in range(30):
        if step == 6:
            assert llm.core.update_weights(other, recompute=True) == 1
        for update in llm.core.step():
            done = update.completion or done
    versions = done.versions
    assert sorted(versions) == versions and set(versions) == {0, 1}
    # What the new weights drew is what they alone would: nothing old is left in the pages.
    old = versions.index(1)
    with torch.no_grad():
        logits = llm.core.model(torch.tensor([PROMPTS[1] + done.ids]))[0, len(PROMPTS[1]) - 1 : -1]
    assert logits.argmax(-1).tolist()[old:] == done.ids[old:]
    assert llm.generate([PROMPTS[1]], SamplingParams(max_tokens=1))[0].completions[
        0
    ].cached_tokens < len(PROMPTS[1])


def test_weights_without_the_drafting_layer_are_refused(llm):
    state = llm.core.model.state_dict()
    lacking = {name: x for name, x in state.items() if not name.startswith("layers.3.")}
    with pytest.raises(RequestError, match="lack the MTP layer"):
        llm.core.update_weights(lacking)


@pytest.mark.parametrize("where", ["embed_tokens", "layer 1", "lm_head"])
def test_a_nan_fails_its_own_request_and_names_the_layer(where):
    llm = make(speculate=False)
    model, bad = llm.core.model, 17
    if where == "embed_tokens":
        with torch.no_grad():
            model.embed_tokens.weight[bad] = float("nan")
        name = "the embedding"
    elif where == "lm_head":
        with torch.no_grad():
            model.lm_head.weight[3, 0] = float("nan")
        name = "the head"
    else:
        rows = []
        model.embed_tokens.register_forward_hook(lambda _, given, out: rows.append(given[0] == bad))
        layers, run = llm.core.runner.layers, llm.core.runner.layers.run

        def broken(layer, h, *rest):
            if layer == 1:
                h = h.masked_fill(rows[-1][:, None], float("nan"))
            return run(layer, h, *rest)

        layers.run = broken
        name = "layer 1"
    outputs = llm.generate(
        [[1, 2], [1, bad, 2], [3, 4]], SamplingParams(temperature=0, max_tokens=4)
    )
    reasons = [out.completions[0].finish_reason for out in outputs]
    expected = ["error"] * 3 if where == "lm_head" else ["length", "error", "length"]
    assert reasons == expected
    assert name in outputs[1].completions[0].error
    if where == "embed_tokens":  # inside a layer it may reach the rows beside it
        assert "at token 1 of" in outputs[1].completions[0].error


def test_what_can_never_be_served_is_refused_with_figures(llm):
    with pytest.raises(RequestError, match="empty"):
        llm.generate([[]])
    with pytest.raises(RequestError, match=rf"id {VOCAB} at place 1"):
        llm.generate([[3, VOCAB]])
    with pytest.raises(RequestError, match=r"250 tokens and max_tokens is 10.*260.*context is 256"):
        llm.generate([[1] * 250], SamplingParams(max_tokens=10))
    small = LLM(
        llm.core.model, TOKENIZER, cache_bytes=2 * llm.core.store.page_bytes, speculate=False
    )
    with pytest.raises(RequestError, match=r"140 tokens.*cache holds 128"):
        small.generate([[1] * 130], SamplingParams(max_tokens=10))
    with pytest.raises(RequestError, match="holds no page"):
        LLM(llm.core.model, cache_bytes=10)
    assert llm.core.idle


def test_a_deadline_ends_a_request_with_what_it_has(llm):
    params = SamplingParams(max_tokens=200, deadline_s=1e-9)
    [done] = llm.generate([PROMPTS[0]], params)[0].completions
    assert done.finish_reason == "deadline"


def test_leaving_a_stream_cancels_it(llm):
    for update in llm.stream(PROMPTS[0], SamplingParams(max_tokens=100)):
        if update.ids:
            break
    assert llm.core.idle
    llm.core.scheduler.check()


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(RequestError, match=r"no device 'cuda:77'.*give one of cpu"):
        check_device("cuda:77")
    check_device("cpu")
