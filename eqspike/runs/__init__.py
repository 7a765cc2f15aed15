"""Runs: training that lives in a file, files for others, and many runs from one protocol."""
