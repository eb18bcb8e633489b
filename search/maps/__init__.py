"""Maps of a region: what a model says of every voxel, as volumes, pictures and a page."""
