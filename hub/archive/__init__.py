"""Where archives are kept: a directory, or whatever fsspec reaches."""
