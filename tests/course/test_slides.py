"""Slides: the list names what the chapters have, and a deck holds what the list names."""

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import chapters, slides

LISTED = yaml.safe_load(slides.LIST.read_text(encoding="utf-8"))
CORE = {"foundations/why_deep_clustering", "foundations/metrics", "autoencoders/autoencoder_kmeans"}
PROSE = """# A chapter

## The idea

Points are near. *Others* are far, as [told](https://somewhere.else).

$$
a = b
$$

- one
- two

```python
## a comment
print()
```

<details>
<summary>More</summary>

$$ folded $$

</details>

$$ c = d $$

### Next

It goes on [[Xie *et al.*, 2016](https://somewhere.else)]."""


def chapter() -> nbformat.NotebookNode:
    picture = new_output("display_data", {"image/png": "aGk=", "text/plain": "<Figure>"})
    table = new_output("execute_result", {"text/markdown": "| 1 ± 2 |", "text/plain": "1"})
    first, *rest = PROSE.partition("### Next")
    cells = [new_markdown_cell(first), new_code_cell("draw()", id="draw", outputs=[picture])]
    cells += [new_markdown_cell("".join(rest)), new_code_cell("table()", id="table", outputs=[table])]
    return new_notebook(cells=[*cells, new_code_cell("silent()", id="silent")])


def test_sections() -> None:
    found = slides.sections(chapter())
    assert list(found) == ["", "A chapter", "The idea", "Next"][1:]
    assert list(found["The idea"].code) == ["draw"] and list(found["Next"].code) == ["table", "silent"]
    assert found["The idea"].sentences() == ["Points are near.", "*Others* are far, as told."]
    assert found["Next"].sentences() == ["It goes on."]


@pytest.mark.parametrize(
    ("section", "wanted", "source"),
    [
        ("The idea", "math", "$$\na = b\n$$"),
        ("The idea", "math 2", "$$ c = d $$"),
        ("The idea", "list", "- one\n- two"),
        ("The idea", "Points", "Points are near."),
        ("The idea", "code draw", "draw()"),
        ("The idea", "output draw", ""),
    ],
)
def test_elements(section: str, wanted: str, source: str) -> None:
    assert slides.element(slides.sections(chapter())[section], wanted).source == source


def test_a_picture_or_a_table_stands_alone() -> None:
    parts = slides.sections(chapter())
    picture, table = slides.element(parts["The idea"], "output draw"), slides.element(parts["Next"], "output table")
    assert picture.outputs[0].data == {"image/png": "aGk="}
    assert table.outputs[0].data == {"text/markdown": "| 1\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}2 |"}


@pytest.mark.parametrize("wanted", ["math 3", "list 2", "code nothing", "Nobody", "output table"])
def test_what_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match="section 'The idea' has"):
        slides.element(slides.sections(chapter())["The idea"], wanted)
    with pytest.raises(ValueError, match="no picture"):
        slides.element(slides.sections(chapter())["Next"], "output silent")


def test_a_page_needs_no_network() -> None:
    listed = [{"section": "The idea", "show": ["math", "output draw"]}, {"title": "Again", "show": ["Points"]}]
    page = slides.html(slides.deck(chapter(), listed))
    assert page.count("<section") == 2 * 3 and page.count('<aside class="notes">') == 2
    assert "draw()" not in page.partition("</head>")[2]
    assert "unpkg" not in page and "cdn" not in page.lower() and "require(" not in page
    with pytest.raises(ValueError, match="no section 'Nowhere'"):
        slides.deck(chapter(), [{"section": "Nowhere", "show": []}])


@pytest.mark.parametrize("name", LISTED)
def test_the_list_names_cells_that_the_chapter_has(name: str) -> None:
    """Sections and sentences are looked up in the plain notebooks, when there is a site: tests/site."""
    nb = chapters.read(chapters.ROOT / "notebooks" / f"{name}.ipynb").nb
    cells = {cell.id: cell for cell in nb.cells}
    for one in LISTED[name]:
        for kind, _, which in (wanted.partition(" ") for wanted in one["show"]):
            if kind in ("code", "output"):
                assert cells[which].cell_type == "code"
            if kind == "output":
                assert any(set(slides.KEPT) & set(output.get("data", {})) for output in cells[which].outputs)


def test_the_core_chapters_have_slides() -> None:
    assert CORE | {"autoencoders/dec", "autoencoders/idec"} <= set(LISTED)
