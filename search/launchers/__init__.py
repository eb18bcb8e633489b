"""What starts the workers of a study: SLURM, Ray, or processes of this machine."""
