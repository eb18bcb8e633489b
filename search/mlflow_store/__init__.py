"""The one door to MLflow: runs, and models; nothing else of ours imports it."""
