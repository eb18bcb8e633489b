"""A cohort to look at: every participant with the sites marked, every biopsy in every sequence."""

from search.gallery.writing import write_gallery

__all__ = ["write_gallery"]
