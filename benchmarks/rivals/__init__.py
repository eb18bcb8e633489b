"""The same trials by other means: stock Keras, plain PyTorch, KerasTuner, and `radsearch run` itself."""
