"""Numbers in sentences: a chapter quotes what a cell computed, so that no figure is typed from memory."""


def quote(**values: object) -> None:
    """Make values available to the prose as ``{glue:text}`` under their names, with ``_`` written ``-``.

    Outside the book's own tools, where MyST-NB is missing, nothing happens: the numbers are in the cells.

    Parameters
    ----------
    **values
        Name and value, e.g. ``quote(dec_acc=f"{acc:.3f}")`` for ``{glue:text}`dec-acc```.
    """
    try:
        from myst_nb import glue
    except ImportError:
        return
    for name, value in values.items():
        glue(name.replace("_", "-"), value, display=False)
