"""How much a caller may use in a time: the algorithm, its state, and how an answer says it in header fields."""
