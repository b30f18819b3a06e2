"""A chain that exists only in memory, served as nodes serve it: it knows the truth, and it can be told to lie."""
