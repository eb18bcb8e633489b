"""Ways in: a cohort made from a BIDS dataset or a plain folder, a table of biopsies and one of expression."""
