"""The tool that makes catalogs, and the catalogs that are there."""

import gettext
import io
import re
from pathlib import Path

import pytest

from console.catalogs import HERE, CatalogWrong, Text, all_texts, compile_all, compiled, main, problems, read, texts_of

HEAD = r"""msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);\n"

"""
RUNS = """msgid "{n} run"
msgid_plural "{n} runs"
msgstr[0] "{n} прогон"
msgstr[1] "{n} прогона"
msgstr[2] "{n} прогонов"
"""


@pytest.fixture
def locale(tmp_path: Path) -> Path:
    (tmp_path / "ru" / "LC_MESSAGES").mkdir(parents=True)
    return tmp_path


def write(locale: Path, body: str, name: str = "area") -> None:
    (locale / "ru" / "LC_MESSAGES" / f"{name}.po").write_text(HEAD + body, "utf-8")
    compile_all(locale)


def test_what_is_compiled_is_read_by_gettext_in_all_plural_forms(locale: Path) -> None:
    write(locale, 'msgid "Say \\"no\\""\nmsgstr ""\n"Скажи "\n"«нет»"\n\n' + RUNS)
    with (locale / "ru" / "LC_MESSAGES" / "area.mo").open("rb") as handle:
        catalog = gettext.GNUTranslations(handle)
    assert catalog.gettext('Say "no"') == "Скажи «нет»"
    said = [catalog.ngettext("{n} run", "{n} runs", n).format(n=n) for n in (1, 2, 5, 11, 21, 112)]
    assert said == ["1 прогон", "2 прогона", "5 прогонов", "11 прогонов", "21 прогон", "112 прогонов"]


def test_an_untranslated_or_fuzzy_entry_is_left_out_so_that_english_shows(locale: Path) -> None:
    write(locale, 'msgid "a"\nmsgstr ""\n\n#, fuzzy\nmsgid "b"\nmsgstr "б"\n')
    made = compiled(read(locale / "ru" / "LC_MESSAGES" / "area.po"))
    catalog = gettext.GNUTranslations(io.BytesIO(made))
    assert (catalog.gettext("a"), catalog.gettext("b")) == ("a", "b")


@pytest.mark.parametrize(
    ("body", "texts", "named"),
    [
        ("", [Text("Fleet", places=("x.py:1",))], "x.py:1: 'Fleet' has no translation (ru)"),
        ('msgid "a"\nmsgstr ""\n', [Text("a")], "is not translated in full"),
        ('msgid "a {n}"\nmsgstr "а"\n', [Text("a {n}")], "other placeholders"),
        ('msgid "a"\nmsgstr "а {n}"\n', [Text("a")], "other placeholders"),
        ('msgid "{n} run"\nmsgstr "{n}"\n', [Text("{n} run", "{n} runs")], "give its msgid_plural"),
        (RUNS.replace("msgstr[2]", "msgstr[1]"), [Text("{n} run", "{n} runs")], "all its forms"),
        ('msgid "gone"\nmsgstr "нет"\n', [], "no text of the source is 'gone'"),
        ('#, fuzzy\nmsgid "a"\nmsgstr "а"\n', [Text("a")], "fuzzy"),
    ],
)
def test_what_is_wrong_is_named(locale: Path, body: str, texts: list[Text], named: str) -> None:
    write(locale, body)
    assert any(named in problem for problem in problems(texts, "ru", locale)), problems(texts, "ru", locale)


def test_a_complete_catalog_has_no_problem_and_an_old_mo_is_one(locale: Path) -> None:
    write(locale, RUNS)
    texts = [Text("{n} run", "{n} runs")]
    assert problems(texts, "ru", locale) == []
    path = locale / "ru" / "LC_MESSAGES" / "area.po"
    path.write_text(path.read_text("utf-8").replace("прогона", "запуска"), "utf-8")
    assert problems(texts, "ru", locale) == ["area.po: its .mo is older: run  make catalogs"]


def test_two_areas_that_say_one_text_differently_are_told(locale: Path) -> None:
    write(locale, 'msgid "Log"\nmsgstr "Лог"\n', "a")
    write(locale, 'msgid "Log"\nmsgstr "Журнал"\n', "b")
    assert problems([Text("Log")], "ru", locale) == ["b.po:6: 'Log' is said otherwise in a.po"]


@pytest.mark.parametrize("line", ['msgid "a', "msgid a", "nonsense"])
def test_a_line_that_is_no_part_of_a_catalog_is_named(locale: Path, line: str) -> None:
    path = locale / "ru" / "LC_MESSAGES" / "area.po"
    path.write_text(HEAD + line + "\n", "utf-8")
    with pytest.raises(CatalogWrong, match=r"area\.po:[56]"):
        read(path)


def test_texts_are_found_wherever_they_are_marked(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        '_("one")\nN_("two" " and more")\nngettext("{n} x", "{n} xs", 3)\n_(name)\nother("no")\n_("")\n'
    )
    assert {(text.one, text.many) for text in texts_of(tmp_path)} == {
        ("one", ""),
        ("two and more", ""),
        ("{n} x", "{n} xs"),
    }


def test_a_tool_called_wrongly_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nonsense"]) == 2
    assert "--check" in capsys.readouterr().err


def test_no_text_hides_in_an_f_string_where_babel_does_not_look() -> None:
    hidden = re.compile(r"\{n?(?:get)?(?:text|_)\([\"']")
    assert [path.name for path in HERE.rglob("*.py") if hidden.search(path.read_text("utf-8"))] == []


def test_every_text_of_the_console_is_translated() -> None:
    texts = all_texts()
    assert len(texts) > 500
    assert problems(texts, "ru") == []
