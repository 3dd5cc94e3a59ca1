"""Conversion methods and the options they have."""
