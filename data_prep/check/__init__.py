"""Quality control of a cohort: every problem at once, by severity, each with what to do."""
