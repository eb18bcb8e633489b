"""Killing runs of real studies, and books that tell whether anything was lost."""
