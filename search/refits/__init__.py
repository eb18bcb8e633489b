"""Models fitted outside the search: finalists on every fold table, nested validation, permutations."""
