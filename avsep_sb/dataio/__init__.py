"""The dataio rooms of avsep_sb; import the modules by name."""
