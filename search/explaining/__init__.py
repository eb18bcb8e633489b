"""What a model looks at: sequences exchanged between biopsies, and parts of their patches covered."""
