"""The workshop of the book: keep chapters and library in step, run chapters, check them, start new ones."""
