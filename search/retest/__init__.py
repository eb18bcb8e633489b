"""Test-retest: how far features, probabilities and maps agree between two scans of the same sites."""
