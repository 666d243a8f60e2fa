"""The web page in a real Chromium, against a server on doubles.

One browser for the file and a context for each test. Chromium is the system's; where there is none, the tests
say so and are left out. Each test ends with what holds for all: nothing on the console, and no request to
anybody but the server.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mnemon.agent.server import serving
from mnemon.testing import ScriptedChatModel
from tests.server.models import Held

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]
expect = playwright.expect
WAIT = 15_000  # milliseconds, on a machine that is busy
EVIL = "The code of the garden <img src=x onerror=\"document.title='owned'\"><script>throw 1</script> is 47."


def answer(messages, options):
    """Another style when the prompt asks for short answers."""
    asked = " ".join(message["content"] for message in messages)
    if "one or two short sentences" in asked:
        return "Go to bed at ten."
    return "There are **many** ways:\n\n- go to bed at ten\n- <b>read</b> something\n"


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def ana(memory):
    """Somebody of whom something is known."""
    person = memory.for_user("ana")
    person.remember("I live in Faro.", session="winter", time="2024-01-12T10:00:00+00:00")
    person.remember("I moved to Porto.", session="spring", time="2024-05-01T10:00:00+00:00")
    person.remember("My beagle is called Biscuit.", session="spring", time="2024-05-01T10:01:00+00:00")
    return person


@pytest.fixture
def visit(chromium, make_app):
    """Open the page as somebody sees it."""

    @contextmanager
    def opened(view="chat", *, model=None, errors=0, door=None, **context):
        app = make_app(model or ScriptedChatModel(answer), **({"default_user": "ana"} | (door or {})))
        with serving(app) as url:
            visitor = chromium.new_context(**({"viewport": {"width": 1280, "height": 800}} | context))
            try:
                page = visitor.new_page()
                page.set_default_timeout(WAIT)
                expect.set_options(timeout=WAIT)
                wrong, reached = [], set()
                page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
                page.on("pageerror", lambda error: wrong.append(str(error)))
                page.on("request", lambda request: reached.add(request.url))
                page.goto(f"{url}/#{view}")
                yield page
                assert len(wrong) == errors, wrong
                assert all(one.startswith((f"{url}/", f"blob:{url}/")) for one in reached), reached
            finally:
                visitor.close()

    return opened


def say(page, words):
    page.get_by_label("Your message").fill(words)
    page.keyboard.press("Enter")


def press(page, name):
    page.get_by_role("button", name=name, exact=True).first.click()


def test_a_reply_is_streamed_and_says_why(visit, ana):
    model = Held(6, free=3)
    with visit(model=model) as page:
        say(page, "Where does Biscuit live?")
        log = page.get_by_role("log")
        expect(log).to_contain_text("0 1 2")
        expect(log).to_have_attribute("aria-busy", "true")
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        model.go.set()
        expect(log).to_contain_text("0 1 2 3 4 5")
        press(page, "Why?")
        why = page.get_by_role("complementary", name="Why this reply")
        expect(why).to_contain_text("Biscuit is a beagle.")
        expect(why).to_contain_text("2024-05-01")
        expect(why).to_contain_text("score")
        page.keyboard.press("Escape")
        expect(why).to_be_hidden()
        expect(page.get_by_role("button", name="Why?")).to_be_focused()
        press(page, "A good reply")
        expect(page.locator("#told")).to_contain_text("Noted")
        # In the list of conversations, and there again when it is opened.
        press(page, "New conversation")
        expect(log).not_to_contain_text("0 1 2")
        page.locator(".thread").first.click()
        expect(log).to_contain_text("Where does Biscuit live?")
    assert [one.rating for one in ana.feedback_log("reply")] == [1]


def test_a_reply_is_stopped_and_what_was_said_is_kept(visit, ana):
    model = Held(6, free=3)
    with visit(model=model) as page:
        say(page, "Count!")
        expect(page.get_by_role("log")).to_contain_text("0 1 2")
        page.keyboard.press("Escape")
        expect(page.get_by_role("log")).to_contain_text("Stopped. What was said is kept.")
        expect(page.get_by_role("button", name="Send")).to_be_visible()
        model.go.set()
    assert ana.timeline(limit=1, newest_first=True)[0].text.startswith("0 1 2")


def test_a_turn_of_which_nothing_is_kept_knows_what_was_said_before_it(visit, ana):
    model = ScriptedChatModel(answer)
    with visit(model=model) as page:
        page.get_by_label("Keep nothing of this").check()
        for words in ("My cat is called Ada.", "Who is Ada?"):
            say(page, words)
            expect(
                page.locator(".turn.assistant", has=page.get_by_role("button", name="Why?"))
            ).to_have_count(1 if "cat" in words else 2)
    assert any("My cat is called Ada." in message["content"] for message in model.calls[-1].messages)
    assert len(ana.timeline()) == 3


def test_tokens_are_shaded_and_those_that_steering_changed_are_underlined(visit, ana):
    def token(text, kl, **more):
        fixed = {"token": 1, "base_probability": 0.2, "steered_probability": 0.7, "lam": 1.5, "note": ""}
        rest = {"changed": False, "instead_of": "", "contributions": {"concise": 0.9}}
        return fixed | rest | {"text": text, "kl": kl} | more

    tokens = [token("At", 0.0), token(" ten", 0.9, changed=True, instead_of=" noon"), token("<b>", 0.1)]
    told = {"trace": {"tokens": tokens, "changed": 1, "kl": 1.0, "shares": {"concise": 1.0}}}
    with visit() as page:
        expect(page.locator("#log")).to_contain_text("remembered, on this machine")
        page.evaluate(
            """async (told) => {
                const { explained } = await import("/why.js");
                document.getElementById("why-body").replaceChildren(...explained(told));
                document.getElementById("why").hidden = false;
            }""",
            told,
        )
        shown = page.locator(".tokens .token")
        assert shown.all_inner_texts() == ["At", " ten", "<b>"]
        expect(shown.nth(0)).to_have_class("token kl-0")
        expect(shown.nth(1)).to_have_class("token kl-4 changed")
        page.locator(".tokens").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        detail = page.locator(".token-detail")
        expect(detail).to_contain_text("λ 1.50 · KL 0.900")
        expect(detail).to_contain_text('instead of " noon"')
        expect(detail).to_contain_text("concise +0.90")


def test_search_facts_as_of_correct_and_undo(visit, ana):
    with visit("memory") as page:
        facts = page.get_by_role("tabpanel", name="Facts")
        expect(facts).to_contain_text("lives in Porto")
        page.get_by_placeholder("Search what was said").fill("beagle")
        page.keyboard.press("Enter")
        hit = page.locator(".hit", has_text="My beagle is called Biscuit.").first
        hit.locator("summary").click()
        expect(hit.locator("dl")).to_be_visible()
        page.get_by_role("tab", name="Facts").click()
        # As of a day in winter it was Faro.
        slider = page.get_by_label("As of")
        slider.evaluate("range => { range.value = 3; range.dispatchEvent(new Event('change')) }")
        expect(facts).to_contain_text("lives in Faro")
        expect(facts).not_to_contain_text("lives in Porto")
        slider.press("End")
        card = facts.locator(".card", has_text="lives in Porto")
        card.get_by_text("Evidence").click()
        expect(card).to_contain_text("“I moved to Porto.”")
        expect(card.locator(".history")).to_contain_text("Faro")
        card.get_by_role("button", name="Correct").click()
        page.get_by_label("Say how it is").fill("I moved to Lisbon.")
        press(page, "Remember it")
        expect(facts).to_contain_text("lives in Lisbon")
        page.get_by_role("tab", name="Writes").click()
        page.get_by_role("button", name="Undo write").first.click()
        expect(page.locator("#told")).to_contain_text("was taken back")
        page.get_by_role("tab", name="Facts").click()
        expect(facts).to_contain_text("lives in Porto")


def test_forgetting_shows_first_what_would_go(visit, ana):
    with visit("memory") as page:
        page.get_by_role("tab", name="Timeline").click()
        press(page, "Forget: My beagle is called Biscuit.")
        dialog = page.get_by_role("dialog", name="Forget this?")
        expect(dialog).to_contain_text("My beagle is called Biscuit.")
        expect(dialog).to_contain_text("Facts that go")
        press(page, "Keep it")
        expect(dialog).to_be_hidden()
        assert len(ana.timeline()) == 3
        press(page, "Forget: My beagle is called Biscuit.")
        press(page, "Forget")
        expect(page.locator("#told")).to_contain_text("Forgotten: 1 turn")
        expect(page.get_by_role("tabpanel", name="Timeline")).not_to_contain_text("Biscuit")
    assert len(ana.timeline()) == 2
    assert not ana.facts("beagle Biscuit called")


def test_a_slider_shows_two_styles_and_the_choice_is_learnt_from(visit, ana):
    with visit("profile") as page:
        page.get_by_label("Another trait").select_option("concise")
        page.get_by_role("slider", name="concise").press("End")
        preferred = page.get_by_role("button", name="I prefer: With concise +1.00")
        expect(page.get_by_role("region", name="As you are known now").get_by_role("listitem")).to_have_count(
            2
        )
        preferred.click()
        expect(page.locator("#preview")).to_contain_text("Your choice is kept.")
        (pair,) = ana.feedback_log("pair")
        assert (pair.query, list(pair.good)) == ("How do I sleep better?", ["Go to bed at ten."])
        press(page, "Save")
        expect(page.locator("#told")).to_contain_text("Saved")
        # Two replies that ship, of which the choice tells most.
        press(page, "Ask me about two others")
        page.get_by_role("button", name="I prefer: One").click()
        expect(page.locator("#told")).to_contain_text("Noted")
    assert len(ana.feedback_log("pair")) == 2
    assert len(ana.timeline()) == 3  # what was tried was not kept


def test_a_token_opens_its_own_memory_and_no_other(visit, ana, memory, tokens):
    memory.for_user("ben").remember("I play the cello.", time="2024-05-01T10:00:00+00:00")
    _, for_ben = tokens.new("ben")
    _, for_ana = tokens.new("ana")
    with visit("memory", door={"required": True}, errors=5) as page:  # 401s are on the console
        dialog = page.get_by_role("dialog", name="This server wants a token")
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#told")).to_contain_text("This server wants a token. Send")
        page.get_by_role("button", name="Whose?").click()
        for secret, theirs, others in ((for_ben, "cello", "Porto"), (for_ana, "Porto", "cello")):
            page.get_by_role("textbox", name="Token").fill("mn_wrong" if theirs == "cello" else secret)
            page.keyboard.press("Enter")
            if theirs == "cello":
                expect(dialog).to_contain_text("not known here")
                page.get_by_role("textbox", name="Token").fill(secret)
                page.keyboard.press("Enter")
            page.get_by_role("tab", name="Timeline").click()
            timeline = page.get_by_role("tabpanel", name="Timeline")
            expect(timeline).to_contain_text(theirs)
            expect(timeline).not_to_contain_text(others)
            assert page.evaluate("Object.keys(localStorage).length") == 0
            page.locator("#who").click()
            press(page, "Forget the token")
            expect(dialog).to_be_visible()
            expect(timeline).to_be_empty()  # nothing stays for whoever comes next


def test_what_looks_like_markup_stays_text_everywhere(visit, ana):
    ana.remember(EVIL, session=EVIL[:60], time="2024-06-01T10:00:00+00:00")
    ana.remember("My <u>beagle</u> is called <i>Rex</i>.", session="evil", time="2024-06-01T10:00:00+00:00")
    model = ScriptedChatModel(lambda *_: f"{EVIL} [a](javascript:alert(1))")
    with visit(model=model, errors=1) as page:  # the one that the browser refuses in the end
        say(page, "What is the code of the garden? <b>Tell me.</b>")
        expect(page.locator(".turn.assistant")).to_contain_text("<script>")
        press(page, "Why?")
        expect(page.locator("#why-body")).to_contain_text("<img")
        for view in ("memory", "profile", "data"):
            page.goto(f"{page.url.partition('#')[0]}#{view}")
            expect(page.locator(f"#{view}-title")).to_be_visible()
            if view == "memory":
                for tab in ("Timeline", "Writes"):
                    page.get_by_role("tab", name=tab).click()
                    expect(page.get_by_role("tabpanel", name=tab)).to_contain_text("<img")
        assert page.locator("main img, main script, main u, main i, main b, main a").count() == 0
        assert "owned" not in page.title()
        refused = "() => { try { document.body.innerHTML = '<b>'; return false } catch { return true } }"
        assert page.evaluate(refused)  # by the browser, whoever should write it one day


def test_a_narrow_screen_and_a_dark_one(visit, ana):
    narrow = {"viewport": {"width": 360, "height": 640}, "color_scheme": "dark", "reduced_motion": "reduce"}
    ana.remember("x" * 300, session="y" * 200)
    with visit(**narrow) as page:
        say(page, "How do I sleep better?")
        expect(page.get_by_role("button", name="Why?")).to_be_visible()
        for view in ("chat", "memory", "profile", "data"):
            page.get_by_role("navigation").get_by_role("link", name=view.capitalize()).click()
            expect(page.locator(f"#{view}-title")).to_be_visible()
            page.wait_for_load_state("networkidle")
            wide = "() => [document.documentElement, ...document.querySelectorAll('main, .view')]"
            over = page.evaluate(f"({wide})().filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.id)")
            assert over == [], view
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 25, 28)"


CONTROLS = """() => {
    const textOf = (id) => document.getElementById(id)?.textContent ?? "";
    const shown = (e) => e.checkVisibility() && !e.closest("[hidden]");
    const name = (e) => (e.getAttribute("aria-label")
        || [...(e.labels ?? [])].map((label) => label.textContent).join(" ")
        || (e.getAttribute("aria-labelledby") ?? "").split(" ").map(textOf).join(" ")
        || (["INPUT", "SELECT", "TEXTAREA"].includes(e.tagName) ? "" : e.textContent)).trim();
    const all = "button, a[href], input, select, textarea, summary, meter, dialog, [role], [tabindex='0']";
    const quiet = ["status", "search"];
    const nameless = [...document.querySelectorAll(all)]
        .filter((e) => shown(e) && !name(e) && !quiet.includes(e.getAttribute("role")));
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    return {
        nameless: nameless.map((e) => e.outerHTML.slice(0, 120)),
        twice: ids.filter((id, at) => ids.indexOf(id) !== at),
        dangling: [...document.querySelectorAll("[aria-controls], [for]")]
            .map((e) => e.getAttribute("aria-controls") ?? e.getAttribute("for"))
            .filter((id) => !document.getElementById(id)),
    };
}"""

CONTRAST = """() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (e) => {
        for (; e; e = e.parentElement) {
            const found = parts(getComputedStyle(e).backgroundColor);
            if (found.length === 3 || found[3] > 0) return found;
        }
    };
    const weak = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const e = walker.currentNode.parentElement;
        const text = walker.currentNode.data.trim();
        if (!text || !e.checkVisibility() || e.closest(".hidden, option, .skip")) continue;
        const lights = [light(parts(getComputedStyle(e).color)), light(behind(e))];
        const ratio = (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
        if (ratio < 4.5) weak.push(`${e.tagName}.${e.className}: ${ratio.toFixed(2)} ${text.slice(0, 30)}`);
    }
    return weak;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_control_has_a_name_and_every_text_its_contrast(visit, ana, scheme):
    ana.remember("Keep your answers short, please.", session="spring", time="2024-05-02T10:00:00+00:00")
    with visit(color_scheme=scheme) as page:
        say(page, "Where does Biscuit live?")
        press(page, "Why?")
        for view in ("chat", "memory", "profile", "data"):
            page.get_by_role("navigation").get_by_role("link", name=view.capitalize()).click()
            page.wait_for_load_state("networkidle")
            assert page.evaluate(CONTROLS) == {"nameless": [], "twice": [], "dangling": []}, view
            assert page.evaluate(CONTRAST) == [], view


def test_by_keyboard_alone(visit, ana):
    with visit() as page:
        expect(page.get_by_label("Your message")).to_be_focused()
        page.locator("#chat-title").focus()
        page.keyboard.press("/")
        expect(page.get_by_placeholder("Search what was said")).to_be_focused()
        page.keyboard.type("n/?")  # in a field letters are letters
        expect(page.locator("#query")).to_have_value("n/?")
        page.get_by_role("tab", name="Facts").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Timeline")).to_be_focused()
        expect(page.get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Shortcuts")
        expect(dialog).to_be_visible()
        dialog.get_by_role("checkbox").uncheck()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        page.keyboard.press("3")  # turned off
        expect(page.locator("#memory-title")).to_be_visible()
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        page.keyboard.press("Tab")
        assert page.evaluate(outline) == "solid"


def test_export_import_and_erase(visit, ana, memory, tmp_path):
    with visit("data") as page:
        with page.expect_download() as begun:
            press(page, "Export")
        begun.value.save_as(tmp_path / "ana.zip")
        page.get_by_label("Name, to be sure").fill("an")
        press(page, "Erase")
        expect(page.locator("#told")).to_contain_text("type the name: ana")
        assert len(ana.timeline()) == 3
        page.get_by_label("Name, to be sure").fill("ana")
        press(page, "Erase")
        expect(page.locator("#told")).to_contain_text("ana was erased: 3 turns")
        assert memory.users() == []
        page.get_by_label("An export of mnemon").set_input_files(tmp_path / "ana.zip")
        press(page, "Import")
        expect(page.locator("#told")).to_contain_text("Taken in")
    assert len(memory.for_user("ana").timeline()) == 3


def test_a_server_that_has_gone_is_said_and_the_words_are_not_lost(visit, ana):
    with visit(errors=1) as page:
        page.route("**/v1/chat/completions", lambda route: route.abort())
        say(page, "Are you there?")
        expect(page.locator("#told")).to_contain_text("The server does not answer.")
        expect(page.get_by_label("Your message")).to_have_value("Are you there?")
