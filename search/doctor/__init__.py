"""`radsearch doctor`: what disagrees between Optuna, MLflow and the home is found, mended, and said."""
