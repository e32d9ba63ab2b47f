"""Numbers in sentences: a chapter quotes what a cell computed, so that no figure is typed from memory."""

import numpy as np

aloud = False  # whether to print what is quoted, for a reader whose text has the numbers of the stored run


def quote(**values: object) -> None:
    """Make values available to the prose as ``{glue:text}`` under their names, with ``_`` written ``-``.

    Outside the book's own tools, where MyST-NB is missing, that does nothing. The text of the plain notebooks has the
    numbers of the stored run; there ``dclib.prose.aloud`` is true, and those of the reader's own run are printed.

    Parameters
    ----------
    **values
        Name and value, e.g. ``quote(dec_acc=f"{acc:.3f}")`` for ``{glue:text}`dec-acc```.
    """
    if aloud:
        print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in values.items()))
        return
    try:
        from myst_nb import glue
    except ImportError:
        return
    for name, value in values.items():
        value = value.item() if isinstance(value, np.generic) else value  # else the page has np.int64(3)
        glue(name.replace("_", "-"), value, display=False)
