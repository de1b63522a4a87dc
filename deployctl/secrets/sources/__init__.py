"""Where secrets are kept, one file each."""
