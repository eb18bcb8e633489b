"""Architectures, heads, optimizers and the training step; TensorFlow loads only where a module needs it."""
