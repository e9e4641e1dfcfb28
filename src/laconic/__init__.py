"""Neural networks in fewer bits: compress, pack, run, measure."""
