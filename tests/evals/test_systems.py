"""Readers and systems in detail: what fits a prompt, how it is laid out, what mnemon's own system does."""

from datetime import UTC, datetime
from importlib.util import find_spec

import pytest

from mnemon.errors import UsageError
from mnemon.evals.reader import ModelReader, fit, lay_out
from mnemon.evals.registry import Wanted, embedder_opener, make_plan, read_exclusions
from mnemon.evals.seams import Context, Question, Session, Turn
from mnemon.evals.systems import Equipment, TextsCached, open_system
from mnemon.settings import load_settings
from mnemon.testing import HashEmbedder, ScriptedChatModel


def turn(name, text, day=1, session="s1", speaker="Ana", role="peer"):
    return Turn(
        id=name,
        session=session,
        position=int(name[1:]),
        role=role,
        speaker=speaker,
        text=text,
        document=text,
        time=datetime(2024, 5, day, 9, 30, tzinfo=UTC),
    )


def words(text):
    return len(text.split())


TURNS = (turn("t0", "one two"), turn("t1", "three four"), turn("t2", "five six"))


# ---- what fits ----------------------------------------------------------------------------------------


def test_without_a_ranking_the_newest_turns_stay():
    # Each line is 'On 1 May 2024, Ana said, "a b"': eight words and one for the line's end.
    assert [t.id for t in fit(Context(TURNS), 18, words)] == ["t1", "t2"]
    assert [t.id for t in fit(Context(TURNS), 100, words)] == ["t0", "t1", "t2"]


def test_with_a_ranking_the_best_turns_stay_in_the_order_of_the_history():
    context = Context(TURNS, ("t2", "t0", "t1"))
    assert [t.id for t in fit(context, 18, words)] == ["t0", "t2"]


def test_a_single_turn_that_is_too_long_is_cut_not_dropped():
    long = turn("t0", "word " * 100)
    kept = fit(Context((long,)), 20, words)
    assert 0 < words(kept[0].text) < 20
    assert fit(Context((long,)), 0, words) == []


def test_turns_are_laid_out_in_order_of_time_a_line_each():
    later = turn("t5", "later\n\nand more", day=9, session="s2", speaker="Bo")
    assert lay_out([later, *TURNS[:2]]) == (
        'On 1 May 2024, Ana said, "one two"\nOn 1 May 2024, Ana said, "three four"\n'
        'On 9 May 2024, Bo said, "later and more"'
    )


# ---- the reader ---------------------------------------------------------------------------------------


def test_a_prompt_holds_instructions_history_date_and_question():
    model = ScriptedChatModel(["  A boat. "])
    reader = ModelReader(model=model, context_tokens=100, count=words)
    question = Question(text="What floats?", time_text="8 May 2024", instructions="Be brief.", max_tokens=7)
    answer = reader.answer(question, Context(TURNS[:1]))
    call = model.calls[0]
    assert answer.text == "A boat."
    assert call.options.max_tokens == 7
    assert call.options.temperature == 0
    assert [message["role"] for message in call.messages] == ["user"]
    assert call.messages[0]["content"] == (
        'On 1 May 2024, Ana said, "one two"\n\nToday is 8 May 2024.\nQuestion: What floats?\nBe brief.'
    )


def test_without_history_the_prompt_claims_none():
    model = ScriptedChatModel(["?"])
    ModelReader(model=model, context_tokens=100).answer(Question(text="What floats?"), Context(()))
    assert [m["content"] for m in model.calls[0].messages] == ["Question: What floats?\n"]


@pytest.mark.parametrize(
    ("ranking", "left", "asked"),
    [
        (("t2", "t0", "t1"), "t0 t1", "Tell me something."),
        (("t0", "t2", "t1"), "t1 t2", "Tell me something."),
        (("t0", "t2"), "", "What floats?"),
        ((), "", "What floats?"),
    ],
)
def test_grounding_contrasts_three_turns_with_all_but_the_first_and_another_question(ranking, left, asked):
    seen = []

    def grounded(messages, against, options):
        seen.extend([messages, against])
        return model.reply(messages, options)

    model = ScriptedChatModel(["A boat.", "A boat."])
    reader = ModelReader(model=model, context_tokens=100, count=words, grounded=grounded)
    question = Question(text="What floats?")
    context = Context(TURNS if len(ranking) != 2 else TURNS[::2], ranking)
    reader.answer(question, context)
    rest = Context(tuple(t for t in TURNS if t.id in left.split()))
    assert seen == [reader.messages(question, context), reader.messages(Question(text=asked), rest)]
    reader.answer(question, Context(()))
    assert len(seen) == 2  # without history there is nothing to contrast


def test_likelihoods_are_per_token_and_asked_only_of_models_that_have_them():
    class Likely:
        def log_likelihood(self, messages, continuations):
            return [-4.0, -4.0]

    question = Question(text="Which?", options=("one", "two three four five"))
    model = ScriptedChatModel([])
    reader = ModelReader(model=model, context_tokens=100, count=words, likelihoods=Likely())
    assert reader.preferences(question, Context(())) == [-4.0, -1.0]
    with pytest.raises(UsageError, match="'scripted' does not give"):
        ModelReader(model=model, context_tokens=100).preferences(question, Context(()))


# ---- mnemon's own systems ------------------------------------------------------------------------------


def session(name, *texts, day=1):
    turns = tuple(
        turn(f"t{place}", text, day=day, session=name, role="user", speaker="user")
        for place, text in enumerate(texts)
    )
    named = tuple(
        Turn(**{**{k: getattr(t, k) for k in t.__dataclass_fields__}, "id": f"{name}_{t.position}"})
        for t in turns
    )
    return Session(id=name, turns=named, time=named[0].time)


@pytest.mark.parametrize("name", ["mnemon", "mnemon-retriever"])
@pytest.mark.parametrize("embedder", [HashEmbedder(), None])
def test_it_works_with_and_without_an_embedder(name, embedder):
    system = open_system(name, Equipment(embedder=lambda: embedder))
    system.begin("ana", units=("turn", "session"))
    system.ingest([session("a", "My cat is called Pebble."), session("b", "I play the cello.", day=4)])
    assert system.recall(Question(text="Who is Pebble the cat?"), k=1)[0].id == "a_0"
    assert system.recall(Question(text="Do I play the cello?"), k=1, unit="session")[0].id == "b"
    assert system.describe()["embedder"] == (embedder.name if embedder else None)
    system.close()


def test_the_same_words_said_twice_are_both_found():
    system = open_system("mnemon", Equipment(embedder=HashEmbedder))
    system.begin("ana", units=("turn",))
    system.ingest([session("a", "I like plums.", "And you?", "I like plums.")])
    found = system.recall(Question(text="What do I like? Plums?"), k=5)
    assert {hit.id for hit in found} == {"a_0", "a_1", "a_2"}
    system.close()


# ---- from names to objects -----------------------------------------------------------------------------


def wanted(tiny, **changes):
    return Wanted(**({"task": "locomo", "data": tiny("locomo"), "system": "bm25"} | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "squad"}, "no task is named 'squad'"),
        ({"system": "oracle"}, "no system is named 'oracle'"),
        ({"mode": "guess"}, "--mode is 'guess'; expected retrieval or qa or mcq"),
        ({"protocol": "strict"}, "--protocol is 'strict'; expected official or cleaned"),
        ({"limit": 0}, "--limit is 0"),
        ({"k": 0}, "--top-k is 0"),
        ({"system": "full-context"}, "ranks nothing"),
        ({"judge": "local"}, "--judge goes with --mode qa"),
        ({"variant": "x"}, "no variant 'x'; it has none"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(changes, message, tiny):
    with pytest.raises(UsageError, match=message):
        make_plan(wanted(tiny, **changes), load_settings(embedder="none"))


def test_without_a_mode_it_is_retrieval_where_there_is_one(tiny):
    settings = load_settings(embedder="none")
    assert make_plan(wanted(tiny), settings).mode == "retrieval"
    with pytest.raises(UsageError, match="steering has no mode 'retrieval'; it has qa"):
        make_plan(wanted(tiny, task="steering", data=tiny("steering"), mode="retrieval"), settings)


def test_a_dense_system_without_an_embedder_says_what_is_missing(tiny):
    with pytest.raises(UsageError, match="'dense' needs an embedder"):
        make_plan(wanted(tiny, system="dense"), load_settings(embedder="none"))


def test_exclusions_are_names_of_items(tmp_path, tiny):
    listed = tmp_path / "wrong.txt"
    listed.write_text("conv-1/0  # the key is wrong\n\nconv-2/1\n", encoding="utf-8")
    assert read_exclusions(listed) == {"conv-1/0", "conv-2/1"}
    plan = make_plan(wanted(tiny, exclude=listed), load_settings(embedder="none"))
    assert plan.exclude == {"conv-1/0", "conv-2/1"}
    listed.write_text("conv-9/0\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no item is named 'conv-9/0'"):
        make_plan(wanted(tiny, exclude=listed), load_settings(embedder="none"))


def test_the_embedder_is_opened_once_and_caches_texts_but_never_queries():
    opener = embedder_opener(load_settings(embedder="hash"), lambda embedder: embedder)
    assert opener() is opener()

    class Counting(HashEmbedder):
        texts = queries = 0

        def embed_texts(self, texts):
            type(self).texts += len(texts)
            return super().embed_texts(texts)

        def embed_queries(self, texts):
            type(self).queries += len(texts)
            return HashEmbedder.embed_texts(self, texts)

    from mnemon.retrievers import CachedEmbedder
    from mnemon.retrievers.embedding_cache import MemoryCache

    counting = Counting()
    embedder = TextsCached(counting, CachedEmbedder(counting, MemoryCache()))
    counting.texts = Counting.texts = 0
    for _ in range(3):
        embedder.embed_texts(["a", "b"])
        embedder.embed_queries(["a"])
    assert (Counting.texts, Counting.queries) == (2, 3)


@pytest.mark.parametrize("name", ["dense", "rrf", "langgraph", "chroma", "mem0"])
def test_a_question_is_embedded_as_one_each_time_because_it_is_timed(name):
    if name == "mem0" and find_spec("mem0") is None:
        pytest.skip("needs the extra mem0")
    asked = []

    class Noting(HashEmbedder):
        def embed_queries(self, texts):
            asked.extend(texts)
            return super().embed_queries(texts)

    system = open_system(name, Equipment(embedder=Noting))
    system.begin("ana", units={"turn"})
    system.ingest([Session(id="s1", turns=(turn("t0", "a cello lesson"), turn("t1", "a bread oven")))])
    for _ in range(2):
        assert system.recall(Question(text="the cello"), k=1)[0].id == "t0"
    assert asked == ["the cello", "the cello"]
    system.close()


def test_the_langgraph_store_takes_a_text_that_was_said_twice():
    system = open_system("langgraph", Equipment(embedder=HashEmbedder))
    system.begin("ana", units={"turn"})
    twice = (turn("t0", "yes please"), turn("t1", "a cello lesson"), turn("t2", "yes please"))
    system.ingest([Session(id="s1", turns=twice)])
    found = system.recall(Question(text="yes please"), k=2)
    assert {one.id for one in found} == {"t0", "t2"}
