"""Measurements of speed and memory; README.md says what is measured and how to repeat it."""
