"""Rewards by rule, over attempts that went through the real loop with a scripted sampler."""

import asyncio

import pytest

from speciale.agents.loop import Budget, Plan, attempt_task
from speciale.agents.scripted import ScriptedSampler, byte_tokenizer, replay
from speciale.agents.trajectory import Step, Trajectory
from speciale.chat import CALLS_CLOSE, CALLS_OPEN, DSML, EOS, INVOKE_CLOSE, THINK_CLOSE
from speciale.errors import ConfigError, DataError
from speciale.rl.rewards import RewardSettings, build
from speciale.rl.rewards.rules import Format, Language, Length, Outcome
from speciale.tasks.task import Task, Turn, Verdict

TOKENIZER = byte_tokenizer()
TURN = Turn([{"role": "user", "content": "And now?"}])


def task(score=1.0, prompt="What is 2 + 3?", turns=()):
    async def verify(attempt):
        return Verdict(score, () if score == 1 else ("It is wrong.",))

    return Task("1", "here", [{"role": "user", "content": prompt}], verify, turns=turns)


def attempt(said, about=None, **plan):
    about = about or task()
    sampler = ScriptedSampler(replay(said), TOKENIZER)
    return about, asyncio.run(attempt_task(sampler, about, Plan(**plan)))


def value(component, about, trajectory):
    return asyncio.run(component.value(about, trajectory))


def says(content, thinking=None, calls=()):
    message = {"role": "assistant", "content": content}
    if thinking is not None:
        message["reasoning_content"] = thinking
    if calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": name, "arguments": "{}"}} for name in calls
        ]
    return message


# ---- outcome, length -----------------------------------------------------------------------------


@pytest.mark.parametrize("score", [0.0, 0.4, 1.0])
def test_the_outcome_is_the_verdicts_score(score):
    assert value(Outcome(), *attempt([says("5", "t")], task(score))) == score


@pytest.mark.parametrize("score", [None, 1.5, -0.1, float("nan")])
def test_no_score_and_one_that_is_no_score_are_said(score):
    with pytest.raises(DataError, match="here#1"):
        value(Outcome(), task(), Trajectory(score=score))


def test_length_is_charged_by_sampled_tokens_of_what_was_solved():
    about, done = attempt([says("5", "so")])  # a token a byte, and two marks
    assert done.sampled_tokens == 5
    assert value(Length(10), about, done) == -0.5
    assert value(Length(5), about, done) == -1.0
    assert value(Length(2), about, done) == -1.0  # not below
    with pytest.raises(ConfigError, match="length_limit is 0"):
        Length(0)


def test_a_failure_is_never_charged_so_that_a_short_one_does_not_pay():
    short, long = attempt([says("4", "s")], task(0.0)), attempt([says("4", "s" * 99)], task(0.0))
    assert value(Length(10), *short) == value(Length(10), *long) == 0
    assert value(Length(10), *attempt([says("4", "s")], task(0.9))) == 0


# ---- format --------------------------------------------------------------------------------------

OPEN = f'{CALLS_OPEN}\n<{DSML}invoke name="look">\n'
LOST = f"{CALLS_OPEN}\n<{DSML}invoke nam=look>\n{INVOKE_CLOSE}\n{CALLS_CLOSE}{EOS}"
BESIDE = f"{OPEN}{INVOKE_CLOSE}\n<{DSML}invoke nam=look>\n{INVOKE_CLOSE}\n{CALLS_CLOSE}{EOS}"
GOOD = {
    "answer": [says("5", "so")],
    "call and answer": [says("", "look", ["look"]), says("5", "so")],
    "two calls": [says("I look.", "look", ["look", "look"]), says("5", "so")],
    "no thought": [says("5", "")],
}
BAD = {
    "thinking not closed": [f"so it is 5{EOS}"],
    "thinking not closed, no end": ["so it is 5"],
    "no answer behind it": [f"so{THINK_CLOSE}{EOS}"],
    "only white space": [f"so{THINK_CLOSE} \n{EOS}"],
    "a lost call, then an answer": [f"so{THINK_CLOSE}\n\n{LOST}", says("5", "so")],
    "words and a cut call": [f"so{THINK_CLOSE}I look.\n\n{OPEN}", says("5", "so")],
    "a cut call": [f"so{THINK_CLOSE}\n\n{OPEN}", says("5", "so")],
}
MENDED = {
    "a lost call beside a good one": [f"so{THINK_CLOSE}\n\n{BESIDE}", says("5", "so")],
    "a call inside the thinking": [
        f"so\n\n{OPEN}{INVOKE_CLOSE}\n{CALLS_CLOSE}{EOS}",
        says("5", "s"),
    ],
    "words and a call without a name": [f"so{THINK_CLOSE}I look.\n\n{LOST}"],
    "a stray mark": [f"so{THINK_CLOSE}5{THINK_CLOSE}{EOS}"],
    "no end mark": [f"so{THINK_CLOSE}5"],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_could_be_read_has_its_format(name):
    about, done = attempt(GOOD[name])
    assert value(Format(), about, done) == value(Format(TOKENIZER), about, done) == 1


@pytest.mark.parametrize("name", BAD)
def test_what_could_not_be_read_has_none(name):
    about, done = attempt(BAD[name])
    assert value(Format(), about, done) == value(Format(TOKENIZER), about, done) == 0


@pytest.mark.parametrize("name", MENDED)
def test_what_was_mended_in_reading_is_found_by_the_ids(name):
    about, done = attempt(MENDED[name])
    assert done.stop == "answer"
    assert value(Format(), about, done) == 1  # the messages say nothing of it
    assert value(Format(TOKENIZER), about, done) == 0
    table = RewardSettings(format=0.5)
    with_ids = asyncio.run(build(table, tokenizer=TOKENIZER).judge(about, done))
    assert (with_ids.total, asyncio.run(build(table).judge(about, done)).total) == (1.0, 1.5)


@pytest.mark.parametrize("plan", [{"budget": Budget(tokens=4)}, {"budget": Budget(turns=1)}])
def test_the_end_of_a_budget_is_no_answer(plan):
    about, done = attempt([says("", "look", ["look"]), says("5", "so")], **plan)
    assert done.stop in ("length", "turns")
    assert value(Format(), about, done) == 0
    about, done = attempt([f"so{THINK_CLOSE}I look.\n\n{OPEN}"], budget=Budget(turns=1))
    assert done.stop == "turns" and value(Format(), about, done) == 0


def test_turns_of_the_user_are_no_lost_calls():
    about = task(turns=[TURN, TURN])
    three = [says(str(n), "so") for n in range(3)]
    assert value(Format(TOKENIZER), *attempt(three, about)) == 1
    lost = [three[0], f"so{THINK_CLOSE}\n\n{LOST}", *three[1:]]
    assert value(Format(), *attempt(lost, about)) == 0


def test_without_thinking_the_ids_are_read_as_a_chat():
    about, done = attempt([says("5")], thinking=False)
    assert value(Format(TOKENIZER), about, done) == 1
    about, done = attempt([f"so{THINK_CLOSE}5{EOS}"], thinking=False)
    assert value(Format(TOKENIZER), about, done) == 0


def test_an_attempt_without_a_step_and_one_without_ids():
    assert value(Format(), task(), Trajectory()) == 0
    step = Step(0, [], [], [], "stop", 0.0, says("5", "so"))
    served = Trajectory(steps=[step], stop="answer")
    assert value(Format(TOKENIZER), task(), served) == 1


# ---- language ------------------------------------------------------------------------------------

ENGLISH, CHINESE = "Which number is next?", "请用 Python 编写一个函数 fibonacci，并解释它。"


def language(question, content, thinking=""):
    return value(Language(), *attempt([says(content, thinking)], task(prompt=question)))


def test_thinking_and_answer_count_by_letters():
    assert language(ENGLISH, "seven", "seven") == 1
    assert language(ENGLISH, "答案是七", "答案是七") == 0
    assert language(ENGLISH, "abcd", "一二三四") == 0.5
    assert language(ENGLISH, "abcdef", "一二") == 0.75
    assert language(CHINESE, "函数如下", "先写函数") == 1
    assert language(CHINESE, "The function", "is here") == 0


def test_all_steps_count_but_no_tools_results_and_no_users():
    about = task(prompt=CHINESE, turns=[Turn([{"role": "user", "content": "English words only"}])])
    said = [says("", "查询", ["look"]), says("结果", "想"), says("结束", "想")]
    assert value(Language(), *attempt(said, about)) == 1
    said[0] = says("", "lo", ["look"])
    assert value(Language(), *attempt(said, about)) == 6 / 8


def test_without_letters_there_is_nothing_wrong():
    assert language(ENGLISH, "5", "2 + 3 = 5") == 1
    assert language("2 + 3 =", "五", "五五") == 1  # asked in no language


def test_code_latex_tags_and_variables_do_not_count():
    code = "```python\ndef f(number):\n    return number\n```\n然后 `value` 是"
    latex = "\\[ \\text{some words} \\] 和 \\begin{align} words \\end{align} $abc = \\pi$ 得 $$xy$$"
    assert language(CHINESE, f"<answer>答案</answer> x 和 π, {code} {latex} \\boxed{{五}}") == 1
    assert language(CHINESE, "价格 $5 or $6 元") == 3 / 5  # no LaTeX
    assert language(ENGLISH, "```\n没有结束 is open") == 6 / 10  # never closed: prose
