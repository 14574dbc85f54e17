"""Glossary files: every shape gives the same terms, every mistake its file and line."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import openpyxl
import pytest

from pipeline.contracts import Term
from pipeline.errors import BadInput
from pipeline.glossary.glossary import Glossary, load_glossary

TBX = """<?xml version="1.0" encoding="UTF-8"?>
<tbx type="TBX-Core" xmlns="urn:iso:std:iso:30042:ed-2"><text><body>
<conceptEntry id="1">
  <langSec xml:lang="en"><termSec><term>operating profit</term></termSec></langSec>
  <langSec xml:lang="es"><termSec><term>beneficio de explotación</term></termSec>
    <termSec><term>ganancia</term><termNote type="administrativeStatus">deprecatedTerm-admn-sts</termNote></termSec>
  </langSec>
</conceptEntry>
</body></text></tbx>
"""

TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en"/><body><tu>
<tuv xml:lang="EN-US"><seg>operating profit</seg></tuv><tuv xml:lang="es"><seg>beneficio de explotación</seg></tuv>
</tu></body></tmx>
"""
XLIFF = "<{0}><{1}><source>operating profit</source><target>beneficio de explotación</target></{1}></{2}>"


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def problem(folder: Path, name: str, text: str) -> str:
    with pytest.raises(BadInput) as caught:
        load_glossary([write(folder, name, text)])
    return str(caught.value).replace(str(folder) + "/", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "source,target\noperating profit,beneficio de explotación\n"),
        ("a.csv", "\ufeffsource;es;zh\r\noperating profit;beneficio de explotación;营业利润\r\n"),
        ("a.tsv", "source\tes\toperator\n".replace("\toperator", "") + "operating profit\tbeneficio de explotación\n"),
        ("a.json", '{"operating profit": {"es": "beneficio de explotación", "zh": "营业利润"}}'),
        ("a.json", '{\n\t"operating profit":"beneficio de explotaci\\u00f3n"}'),
        ("a.yaml", "operating profit: beneficio de explotación\n"),
        ("a.yaml", "operating profit: {es: [beneficio de explotación], no: driftsresultat}\n"),
        ("a.tbx", TBX),
        ("a.txt", "source\ttarget\noperating profit\tbeneficio de explotación\n"),
        ("a.csv", "source,target,\noperating profit,beneficio de explotación,\n"),
        ("a.csv", "sep=;\nsource;target\noperating profit;beneficio de explotación\n"),
        (
            "a.csv",
            "ID,Term,Translation,Definition,Part of speech\n7,operating profit,beneficio de explotación,x,noun\n",
        ),
        ("a.csv", "source,es,id\noperating profit,beneficio de explotación,12\n"),
        ("a.csv", 'source,target\n"operating\u2028profit",beneficio\x0cde explotación\n'),
        ("a.csv", "source,target\roperating profit,beneficio de explotación\r"),
        ("a.csv", "en,es\noperating profit,beneficio de explotación\n"),
        ("a.csv", "es-ES,en-US\nbeneficio de explotación,operating profit\n"),
        ("a.csv", "English,Spanish,Comment\noperating profit,beneficio de explotación,\n"),
        ("a.csv", "español;English;Nr.\nbeneficio de explotación;operating profit;1\n"),
        ("a.txt", "operating profit\tbeneficio de explotación\n"),
        ("a.csv", "operating profit,beneficio de explotación,\n"),
        ("a.tmx", TMX),
        ("a.xlf", XLIFF.format("file source-language='en' target-language='es'", "trans-unit", "file")),
        ("a.xliff", XLIFF.format("xliff srcLang='en' trgLang='es'", "segment", "xliff")),
    ],
)
def test_every_shape_gives_the_same_term(tmp_path: Path, name: str, text: str) -> None:
    expected = (Term("operating profit", ("beneficio de explotación",)),)
    assert load_glossary([write(tmp_path, name, text)], ["en"], ["es"]).terms("en", "es") == expected
    (tmp_path / name).write_bytes(text.removeprefix("\ufeff").encode("utf-16"))
    if "\\u" not in text:
        assert load_glossary([tmp_path / name], ["en"], ["es"]).terms("en", "es") == expected


def test_a_table_without_a_header_is_read_in_the_languages_asked_for_and_that_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", "house,casa\nThai,tailandés\n")
    told: list[str] = []
    glossary = load_glossary([file], ["en"], ["pt-BR"], told.append)
    assert [term.source for term in glossary.terms("en", "pt-BR")] == ["house", "Thai"]
    assert glossary.terms("fr", "pt-BR") == ()
    assert told == [f"{file} has no header: its columns are taken as en and pt-BR"]
    for sources, targets in ((["en", "fr"], ["es"]), ([], ["es"]), (["en"], ["es", "fr"])):
        with pytest.raises(BadInput, match="there is no header"):
            load_glossary([file], sources, targets)


def test_a_table_of_languages_is_read_from_the_one_that_is_spoken(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", "English,Deutsch,fr\nhouse,Haus,maison\n")
    (term,) = load_glossary([file], ["de"], ["fr"]).terms("de", "fr")
    assert (term.source, term.targets) == ("Haus", ("maison",))
    (term,) = load_glossary([file]).terms("en", "de")
    assert (term.source, term.targets) == ("house", ("Haus",))


def test_settings_and_alternatives(tmp_path: Path) -> None:
    table = write(
        tmp_path, "a.csv", "source,es,mode,case_sensitive,inflect\nUS,EE. UU.|Estados Unidos,soft,yes,no\nAcme,,keep,,\n"
    )
    tree = write(tmp_path, "b.yaml", "bug: {es: error, inflect: yes}\n'': {mode: ban, es: bicho}\n")
    assert load_glossary([table, tree]).terms("en", "es") == (
        Term("US", ("EE. UU.", "Estados Unidos"), "soft", case_sensitive=True),
        Term("Acme", ("Acme",), "keep"),
        Term("bug", ("error",), inflect=True),
        Term("", ("bicho",), "ban"),
    )


def test_an_entry_is_for_its_languages_and_a_special_one_goes_before_a_general(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", "source,target,es\ncourt,tribunal,\njudge,Richter,juez\n")
    glossary = load_glossary([file])
    assert {term.source: term.targets for term in glossary.terms("en", "es")} == {
        "court": ("tribunal",),
        "judge": ("juez",),
    }
    assert {term.source: term.targets for term in glossary.terms("en", "de")} == {
        "court": ("tribunal",),
        "judge": ("Richter",),
    }
    tbx = load_glossary([write(tmp_path, "b.tbx", TBX)])
    assert tbx.terms("es", "en") == (
        Term("beneficio de explotación", ("operating profit",)),
        Term("ganancia", ("operating profit",)),
    )
    assert tbx.terms("de", "es") == ()
    assert tbx.vocabulary("en") == ("operating profit",)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "source,target\nx,\ny,z\n,q\n", ["a.csv:2: 'x' has no target", "a.csv:4: the source is empty"]),
        ("a.csv", "source,trget\nx,y\n", ["a.csv:1: there is no column 'trget'; did you mean 'target'?"]),
        ("a.csv", "source,target,mdoe\nx,y,\n", ["a.csv:1: there is no column 'mdoe'; did you mean 'mode'?"]),
        ("a.csv", "house,casa\n", ["a.csv:1: there is no header", "try: a header such as en,es"]),
        ("a.csv", 'source,target\n"x,y\n', ["a.csv:2:"]),
        ("a.csv", "source,es\nnet loss,pérdida, neta\n", ["a.csv:2: more cells than", "(2)", "quote cells that hold ','"]),
        ("a.csv", "source,target\nhouse,casa\nHouse,casa\n", ["a.csv:3: 'House' is already in line 2"]),
        ("a.csv", "source,target\nhouse,casa\nhouse,hogar\n", ["a.csv:3:", "'casa'", "a.csv:2"]),
        ("a.csv", "source,target,mode\nhouse,casa,hrad\n", ["a.csv:2: there is no mode 'hrad'; did you mean 'hard'?"]),
        (
            "a.csv",
            "source,target,mode\nhouse,casa roja,\n,roja,ban\n",
            ["a.csv:2: 'house' demands 'casa roja', which", "a.csv:3"],
        ),
        ("a.csv", "source,target\n--,casa\n", ["a.csv:2: the source '--' has no letter"]),
        ("a.csv", "source,target\nhouse,ca\x07sa\n", ["a.csv:2: 'house' has a control character"]),
        ("a.json", '{"a": "b",\n "c" "d"}', ["a.json:2: Expecting ':'"]),
        ("a.json", '{"a": "b",\n "a": "c"}', ["a.json:2: 'a' is hard 'c' here but hard 'b' in a.json:1"]),
        ("a.json", '["a"]', ["a.json:1: not a map"]),
        ("a.yaml", "a: b\nc: {es: d, es: e}\n", ["a.yaml:2: 'es' stands twice for 'c'"]),
        ("a.yaml", "a: b\nc: [d\n", ["a.yaml:3:"]),
        ("a.yaml", "a:\n  es:\n", ["a.yaml:1: 'a' has no target for es"]),
        ("a.yaml", "a: {qq: b}\n", ["a.yaml:1: 'a' has a target for 'qq'"]),
        ("a.json", "[" * 100_000, ["a.json: not JSON that can be read"]),
        ("a.json", f'{{"a": {"1" * 5000}}}', ["a.json: not JSON that can be read"]),
        ("a.yaml", "[" * 100_000, ["a.yaml:1: exceeded maximum nesting depth"]),
        ("a.tbx", "<tbx>\n<conceptEntry>\n</tbx>", ["a.tbx:3: not well-formed XML"]),
        ("a.tbx", '<!DOCTYPE x [<!ENTITY a "b">]><tbx>&a;</tbx>', ["a.tbx: it defines or refers to XML entities"]),
        ("a.tbx", "<tbx/>", ["a.tbx: no concept"]),
        ("a.csv", "source,target\n\n", ["a.csv: there is no term in it; try:"]),
        ("a.yaml", "# none yet\n", ["a.yaml: there is no term in it; try:"]),
        ("a.doc", "", ["a.doc: no glossary ends in '.doc'", ".csv"]),
        ("a.xlsx", "", ["a.xlsx: not a workbook that can be read"]),
        ("a.ods", "source,target", ["a.ods: not a workbook that can be read", "CSV UTF-8"]),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, name: str, text: str, expected: list[str]) -> None:
    message = problem(tmp_path, name, text)
    for part in expected:
        assert part in message


def workbook(file: Path, **sheets: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(file)
    return file


def test_a_glossary_that_has_no_term_for_what_is_asked_is_told(tmp_path: Path) -> None:
    table = write(tmp_path, "a.csv", "source,es,fr\nhouse,casa,maison\n")
    told: list[str] = []
    load_glossary([table], ["en"], ["pt", "ca"], told.append)
    assert told == ["no term of the glossary is from en to pt, from en to ca; its terms are from any to es, from any to fr"]
    load_glossary([table], [], ["pt", "es-MX"], told.append)
    load_glossary([table], ["en"], [], told.append)
    load_glossary([write(tmp_path, "b.csv", "source,target\nhouse,casa\n")], ["en"], ["pt"], told.append)
    load_glossary([], ["en"], ["pt"], told.append)
    assert len(told) == 1


def test_a_workbook_is_read_as_its_table(tmp_path: Path) -> None:
    rows = [
        ["source", "es", "mode", "Comment"],
        ["operating profit", "beneficio de explotación", None, "finance"],
        [2026, 2026],
    ]
    file = workbook(tmp_path / "a.xlsx", Empty=[], Terms=rows, Old=[["source", "es"], ["house", "casa"]])
    table = write(tmp_path, "a.csv", "source,es\noperating profit,beneficio de explotación\n2026,2026\n")
    told: list[str] = []
    read = [(entry.source, entry.targets) for entry in load_glossary([file], tell=told.append).entries]
    assert read == [(entry.source, entry.targets) for entry in load_glossary([table]).entries]
    assert told == [f"{file} has 2 sheets: 'Terms' is read"]
    wrong = workbook(tmp_path / "b.xlsx", Terms=[["source", "es", "mode"], [], ["house", "casa", "hrad"]])
    with pytest.raises(BadInput, match="b.xlsx:3: there is no mode 'hrad'"):
        load_glossary([wrong])


def test_a_workbook_whose_last_cell_is_far_out_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr("python_calamine.CalamineWorkbook", SimpleNamespace(from_path=read.append))
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "source", "x"
    file = tmp_path / "far.xlsx"
    book.save(file)
    with pytest.raises(BadInput, match="1,048,576 rows and 16,384 columns; valid: 5,000,000 cells together"):
        load_glossary([file])
    rows = "<row r='1'><c r='A1'><v>1</v></c></row>" + " " * 3_000_000 + "<row r='1048576'><c\nr = 'XFD1048576'/></row>"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/any.name", rows)
    with pytest.raises(BadInput, match="1,048,576 rows"):
        load_glossary([file])
    assert read == []
    monkeypatch.setattr("pipeline.glossary.workbook_size.MOST_UNPACKED_BYTES", 2**20)
    with pytest.raises(BadInput, match="unpacks to more than 1 MiB"):
        load_glossary([file])


def row(cells: str, repeated: int = 1) -> str:
    return f"<table:table-row table:number-rows-repeated='{repeated}'>{cells}</table:table-row>"


def cell(text: str, repeated: int = 1) -> str:
    repeats = f"table:number-columns-repeated='{repeated}'"
    return f"<table:table-cell office:value-type='string' {repeats}><text:p>{text}</text:p></table:table-cell>"


EMPTY_CELLS = "<table:table-cell table:style-name='x' table:number-columns-repeated='9999'/>"
EMPTY_ROWS = row("<table:table-cell/>", 900_000)


def open_document(file: Path, *sheets: str) -> Path:
    names = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    tables = "".join(f"<table:table table:name='S{number}'>{rows}</table:table>" for number, rows in enumerate(sheets))
    manifest = "<m:manifest xmlns:m='urn:oasis:names:tc:opendocument:xmlns:manifest:1.0'></m:manifest>"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            f"<office:document-content{names}><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
            "</office:document-content>",
        )
        archive.writestr("META-INF/manifest.xml", manifest)
    return file


@pytest.mark.parametrize(
    ("sheets", "size"),
    [
        ([EMPTY_ROWS + row(EMPTY_CELLS + cell("a"))], "900,001 rows and 10,000 columns"),
        ([row(cell("a", 9999), 501)], "501 rows and 9,999 columns"),
        ([row(cell("a", 9999), 300)] * 2, "300 rows and 9,999 columns"),
        (
            [row("<table:table-cell><table:table/></table:table-cell>" + cell("a", 9999)) + EMPTY_ROWS + row(cell("a"))],
            "900,002 rows and 10,000 columns",
        ),
    ],
    ids=["far out", "repeated", "together", "table in table"],
)
def test_an_open_document_of_too_many_cells_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheets: list[str], size: str
) -> None:
    read: list[Path] = []
    monkeypatch.setattr("python_calamine.CalamineWorkbook", SimpleNamespace(from_path=read.append))
    file = open_document(tmp_path / "far.ods", *sheets)
    with pytest.raises(BadInput, match=size):
        load_glossary([file])
    assert read == []


def test_an_open_document_whose_empty_cells_go_on_to_the_end_is_read(tmp_path: Path) -> None:
    sheet = "".join(row("".join(map(cell, texts)) + EMPTY_CELLS) for texts in (("source", "es"), ("house", "casa")))
    (entry,) = load_glossary([open_document(tmp_path / "a.ods", sheet + EMPTY_ROWS)]).entries
    assert entry.source == "house"


@pytest.mark.parametrize("rows", ["<table:table-row", "<table:table-row table:number-rows-repeated='many'/>", "&x;"])
def test_an_open_document_that_is_damaged_is_refused(tmp_path: Path, rows: str) -> None:
    with pytest.raises(BadInput, match=r"a\.ods: not a workbook that can be read"):
        load_glossary([open_document(tmp_path / "a.ods", rows)])


def test_a_missing_file_and_one_of_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_glossary([tmp_path / "none.csv"])
    with pytest.raises(BadInput, match="cannot be read"):
        load_glossary([tmp_path / "none.xlsx"])
    (tmp_path / "latin.csv").write_bytes("source,target\nyear,año\n".encode("latin-1"))
    with pytest.raises(BadInput, match="not UTF-8 at byte"):
        load_glossary([tmp_path / "latin.csv"])


def test_files_merge_and_may_repeat_but_not_contradict_each_other(tmp_path: Path) -> None:
    first = write(tmp_path, "a.csv", "source,es\nhouse,casa\n")
    second = write(tmp_path, "b.json", '{"House": {"es": "casa"}, "tree": {"es": "árbol"}}')
    assert [term.source for term in load_glossary([first, second, first]).terms("en", "es")] == ["house", "tree"]
    third = write(tmp_path, "c.json", '{"house": {"es": "hogar"}}')
    with pytest.raises(BadInput, match=r"c\.json:1: 'house' is hard 'hogar' here but hard 'casa' in .*a\.csv:2"):
        load_glossary([first, third])


def test_json_emoji_written_as_two_escapes_survive(tmp_path: Path) -> None:
    text = json.dumps({"smile": "😀 sí", "path": "\\\\ud83d"})
    glossary = load_glossary([write(tmp_path, "a.json", text)])
    assert [term.targets for term in glossary.terms("en", "es")] == [("😀 sí",), ("\\\\ud83d",)]


@pytest.mark.parametrize("ending", ["csv", "json", "tbx"])
def test_ten_thousand_terms_are_read_in_moderate_processor_time(tmp_path: Path, ending: str) -> None:
    pairs = [(f"term{n} number", f"término{n}") for n in range(10_000)]
    if ending == "csv":
        text = "source,es\n" + "".join(f"{source},{target}\n" for source, target in pairs)
    elif ending == "json":
        text = json.dumps(dict(pairs), indent=1)
    else:
        language = "<langSet xml:lang='{}'><tig><term>{{}}</term></tig></langSet>"
        entry = f"<termEntry>{language.format('en')}{language.format('es')}</termEntry>"
        text = "<martif>" + "\n".join(entry.format(*pair) for pair in pairs) + "</martif>"
    file = write(tmp_path, f"a.{ending}", text)
    began = time.process_time()
    glossary = load_glossary([file])
    assert [term.targets for term in glossary.terms_in("the term77 number is here", "en", "es")] == [("término77",)]
    assert time.process_time() - began < 8.0  # the figure is 2 s on an idle machine; this catches a quadratic one


def test_softened_demands_are_preferences(tmp_path: Path) -> None:
    glossary = load_glossary(
        [write(tmp_path, "a.csv", "source,es,mode\nhouse,casa,\nAcme,,keep\nhut,choza,ban\n")]
    ).softened()
    assert [term.mode for term in glossary.terms("en", "es")] == ["soft", "soft", "ban"]
    assert len(Glossary()) == 0
