"""What the built-in types look like: a compact notation, and the types written in it."""
