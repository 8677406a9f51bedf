"""Scores a model on a test manifest and makes a page of what it does."""
