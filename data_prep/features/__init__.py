"""What shallow models read instead of images: one row of numbers a biopsy."""

from data_prep.features.extract import FEATURE_SETS, features_of, load_features
from data_prep.features.table import FeatureTable

__all__ = ["FEATURE_SETS", "FeatureTable", "features_of", "load_features"]
