"""What the stored predictions of a study allow to be said, and how sure that is."""
