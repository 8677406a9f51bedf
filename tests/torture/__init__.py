"""Inputs that break other tools, and what ours must do with each."""
