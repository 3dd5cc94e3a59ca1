"""Writing converted networks in the forms of others: NIR, the Neuromorphic Intermediate Representation (`nir_*.py`)."""
