"""The MLflow tracking server: its configuration and its launch; imports nothing of radsearch."""
