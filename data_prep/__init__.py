"""Cohorts, volumes, patches, labels, folds and the phantom; no TensorFlow, no Optuna, no MLflow."""
