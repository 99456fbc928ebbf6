"""Comparison of finished runs: statistics, figures and the report."""
