"""Whether a result can come from a leak: each check by name, with what it found."""

SUSPICIOUS_AUC = 0.80
"""Grouped AUC above which a result on such a cohort is more often a leak than a discovery."""
