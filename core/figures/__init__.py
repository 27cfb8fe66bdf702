"""Plotly figures and their text alternatives, from arrays and tables alone: one file a subject."""
