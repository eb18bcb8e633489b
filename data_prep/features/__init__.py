"""What shallow models read instead of images: one row of numbers a biopsy."""

from data_prep.features.extract import FEATURE_SETS, load_features
from data_prep.features.table import FeatureTable

__all__ = ["FEATURE_SETS", "FeatureTable", "load_features"]
