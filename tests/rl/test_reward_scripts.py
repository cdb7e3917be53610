"""Scripts of texts by the names of their letters."""

import time

import pytest

from speciale.rl.rewards.scripts import prose, script_of, share_in, wanted_scripts

LANGUAGES = {
    "Wie heißt der Berg?": {"LATIN"},
    "Hỏi một câu tiếng Việt": {"LATIN"},
    "Какая это гора?": {"CYRILLIC"},
    "Πώς λέγεται το βουνό;": {"GREEK"},
    "ما اسم هذا الجبل؟": {"ARABIC"},
    "מה שם ההר?": {"HEBREW"},
    "इस पहाड़ का नाम क्या है?": {"DEVANAGARI"},
    "ภูเขานี้ชื่ออะไร": {"THAI"},
    "이 산의 이름은 무엇입니까?": {"HANGUL"},
    "这座山叫什么名字？": {"CJK"},
    "この山の名前は何ですか？": {"CJK", "KANA"},
    "ピタゴラス": {"CJK", "KANA"},
    "用 Python 的 itertools 求和": {"CJK"},
    "Translate 山 into English": {"LATIN"},
    "12 + 30 = ?": set(),
    "": set(),
}


@pytest.mark.parametrize("text", LANGUAGES)
def test_the_script_of_a_question(text):
    assert wanted_scripts(text) == LANGUAGES[text]


@pytest.mark.parametrize("text", [text for text in LANGUAGES if LANGUAGES[text]])
def test_a_text_is_in_its_own_script(text):
    mixed = "Python" in text or "Translate" in text
    share = share_in(text, wanted_scripts(text))
    assert 0 < share < 1 if mixed else share == 1


def test_japanese_takes_both_kana_and_characters_and_chinese_no_kana():
    japanese, chinese = "この山の名前は富士山です", "这座山叫什么"
    assert share_in(japanese, wanted_scripts("山の名前は何ですか")) == 1
    assert share_in(chinese, wanted_scripts("山の名前は何ですか")) == 1  # characters alone are both
    assert share_in(japanese, wanted_scripts(chinese)) == 6 / 12


def test_letters_in_disguise_are_letters():
    assert share_in("𝓱𝓮𝓵𝓵𝓸 ｗｏｒｌｄ", frozenset({"LATIN"})) == 1
    assert share_in("𝓱𝓮𝓵𝓵𝓸", frozenset({"CJK"})) == 0
    assert script_of("ー") is None and script_of("5") is None and script_of("ア") == "KANA"


@pytest.mark.parametrize(
    "text, left",
    [
        ("a ```x\ny``` b", "a   b"),
        ("a `x` b `y", "a   b  y"),
        ("one `\ntwo` three", "one  \ntwo  three"),
        ("a $x$ b", "a   b"),
        ("a $$x\ny$$ b", "a   b"),
        ("$5 and $6", " 5 and  6"),
        ("a \\(x\\) b \\[y\\] c", "a   b   c"),
        ("\\begin{a}x\\begin{b}y\\end{b}\\end{a}z", " z"),
        ("\\boxed{word}", " {word}"),
        ("<think>a</think> 1 < 2 > 0", " a  1 < 2 > 0"),
        ("~~~\nx\n~~~ y", "  y"),
        ("", ""),
    ],
)
def test_what_is_prose(text, left):
    assert prose(text) == left


HOSTILE = (
    "\\[",
    "\\begin{a}",
    "```",
    "`a",
    "$a ",
    "<a",
    "\\(\\[",
    "$a\n`",
    "<" * 50,
    "`\n",
    "$x $",
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_takes_time_by_its_length_alone(piece):
    begun = time.process_time()
    prose(piece * (400_000 // len(piece)))
    assert time.process_time() - begun < 3


def test_many_environments_that_are_never_closed():
    begun = time.process_time()
    prose("".join(f"\\begin{{{n}}}" for n in range(60_000)))
    assert time.process_time() - begun < 2
