"""Rewards without training: each rule against cases worked by hand."""

import numpy as np
import pytest

from mnemon.agent.decoding.rewards import (
    Contrast,
    Lexicon,
    OwnWords,
    PlainWords,
    ReplyLength,
    Rule,
    SentenceLength,
    SentenceMark,
    SentenceOpening,
    attribute,
)
from mnemon.agent.decoding.steering import Branch
from mnemon.agent.decoding.stepping import View, normalised
from mnemon.errors import UsageError

PIECES = [" I", " perhaps", " per", "haps", "!", ".", " extraordinarily", "ly", "<end>"]
END = 8


def view(text: str = "", *, logits: dict[str, list[float]] | None = None, pieces: list[str] = PIECES) -> View:
    """Candidates are `pieces`; the reply so far is `text`."""
    k = len(pieces)
    return View(
        0,
        np.arange(k),
        np.log(np.full(k, 1 / k)),
        gathered={name: np.array(values) for name, values in (logits or {}).items()},
        written=[100],
        text_of=lambda ids: text if list(ids) == [100] else "".join(pieces[i] for i in ids),
    )


def test_a_contrast_is_a_difference_of_branches() -> None:
    reward = Contrast(Branch(name="formal", instruction="Be formal."))
    assert [branch.name for branch in reward.branches] == ["formal", "base"]
    scores = reward.score(view(logits={"formal": [1.0] * 9, "base": list(range(9))}))
    assert scores.tolist() == [1.0 - i for i in range(9)]


def test_an_attribute_may_have_an_opposite() -> None:
    assert attribute("brief", "Be brief.").branches[1].name == "base"
    against = attribute("brief", "Be brief.", opposite="Be long.").branches[1]
    assert (against.name, against.instruction) == ("not brief", "Be long.")


def test_a_branch_reads_one_thing() -> None:
    with pytest.raises(UsageError, match="more than one"):
        Branch(name="x", instruction="Be formal.", ids=(1, 2))


def test_a_lexicon_rewards_words_and_their_beginnings() -> None:
    hedges = Lexicon(["perhaps", "!"])
    assert hedges.score(view("Well,")).tolist() == [0, 1, 1, 0, 1, 0, 0, 0, 0]
    assert hedges.score(view("Well, per")).tolist() == [0, 1, 1, 1, 1, 0, 0, 0, 0]  # "haps" finishes it
    with pytest.raises(UsageError):
        Lexicon([])


def test_sentences_are_pulled_towards_a_length() -> None:
    reward = SentenceLength(4)
    early = reward.score(view("Done. One two"))
    late = reward.score(view("Done. One two three four five six"))
    assert early[[4, 5]].tolist() == [-0.5, -0.5]
    assert late[[4, 5]].tolist() == [0.5, 0.5]
    assert not early[[0, 1, 2, 3, 6, 7, 8]].any()
    with pytest.raises(UsageError):
        SentenceLength(0)


def test_a_number_of_a_list_ends_no_sentence_and_a_line_does() -> None:
    reward = SentenceLength(2)
    assert reward.score(view("One two three four five:\n\n1"))[5] == 0
    assert reward.score(view("One two three four five\nsix"))[5] == -0.5
    assert reward.score(view("Said Dr. Who five times"))[5] > 0


def test_sentences_may_end_with_a_mark() -> None:
    asks = SentenceMark("!")
    assert asks.score(view("Well done"))[[4, 5]].tolist() == [1, 0]
    assert not asks.score(view("Well done! ")).any()  # a sentence has a word
    with pytest.raises(UsageError):
        SentenceMark(",")


def test_sentences_may_begin_with_a_word() -> None:
    opens = SentenceOpening(["Perhaps"])
    assert opens.score(view("It rains.")).tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert not opens.score(view("It rains")).any()
    with pytest.raises(UsageError):
        SentenceOpening([])


def test_questions_rest_between_sentences() -> None:
    marks, opens = SentenceMark("!", rest=2), SentenceOpening(["Perhaps"], rest=1)
    assert not marks.score(view('Well "done!" Now I go. It is')).any()
    assert marks.score(view("Well done! Now I go. It is. 1.\n\nOne has"))[4] == 1
    assert not opens.score(view("Does it rain?")).any()
    assert opens.score(view("Does it rain? It does."))[1] == 1


def test_a_habit_rests_between_words() -> None:
    hedges = Lexicon(["perhaps"], rest=2, beginnings=False)
    assert hedges.score(view("It may")).tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert not hedges.score(view("Perhaps it")).any()
    assert hedges.score(view("Perhaps it rains"))[1] == 1


def test_replies_are_pulled_towards_a_length() -> None:
    reward = ReplyLength(10, end_ids=[END])
    assert reward.score(view("one two three four five"))[END] == -0.5
    assert reward.score(view(" ".join(["word"] * 15)))[END] == 0.5
    assert not reward.score(view("one"))[:END].any()


def test_long_words_are_disliked_as_they_grow() -> None:
    reward = PlainWords().score(view("a beautiful"))
    assert reward[6] == -(len(["e", "ao", "i", "a", "i", "y"]) - 1)
    assert reward[7] == -(len(["eau", "i", "u", "y"]) - 1)
    assert reward[0] == reward[4] == 0


@pytest.mark.parametrize(
    ("word", "syllables"),
    [("the", 1), ("make", 1), ("table", 2), ("committee", 3), ("área", 2), ("человек", 2), ("1990", 1)],
)
def test_a_word_is_as_long_as_it_sounds(word: str, syllables: int) -> None:
    assert PlainWords().score(view(pieces=[f" {word}"])) == 1 - syllables


def test_words_of_the_question_are_never_too_long() -> None:
    spared = PlainWords(spared=["Extraordinarily", "beauty"])
    reward = spared.score(view("a beautiful"))
    assert reward[6] == 0
    assert reward[7] == -3  # another word than the question's
    assert PlainWords(spared=["perhapses"]).score(view("a p"))[1] == 0  # on the way to one


def test_own_words_are_those_that_the_person_uses_more_than_others() -> None:
    background = [i % 9 for i in range(900)]
    person = [1] * 60 + [5] * 40
    scores = OwnWords(person, background, vocabulary=9).score(view())
    assert set(np.flatnonzero(scores > 0)) == {1, 5}
    assert scores[1] > scores[5]
    assert np.isfinite(scores).all()
    few = OwnWords([1], background, vocabulary=9).score(view())
    assert 0 < few[1] < 0.5 * scores[1]  # one word is no style
    with pytest.raises(UsageError):
        OwnWords([], background, vocabulary=9)


def test_any_rule() -> None:
    assert Rule(lambda text, piece: float(len(piece))).score(view())[:3].tolist() == [2, 8, 4]


def test_normalising_makes_rewards_of_any_scale_and_shift_the_same() -> None:
    dice = np.random.default_rng(0)
    reward, p = dice.normal(size=20), dice.dirichlet(np.ones(20))
    scaled = normalised(reward * 700 - 30, np.log(p), "zscore")
    np.testing.assert_allclose(scaled, normalised(reward, np.log(p), "zscore"))
    assert p @ scaled == pytest.approx(0)
    assert p @ scaled**2 == pytest.approx(1)
    assert p @ normalised(reward, np.log(p), "center") == pytest.approx(0)
    spread = normalised(reward, np.log(p), "minmax")
    assert spread.max() - spread.min() == pytest.approx(1)
    assert not normalised(np.full(20, 3.0), np.log(p), "zscore").any()
    assert normalised(reward, np.log(p), "none") is reward
