"""From the selected trials to a model folder that stands for itself, and what it says of new images."""
