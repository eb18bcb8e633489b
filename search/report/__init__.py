"""The report of a study: one self-contained page, its figures and its tables."""
