"""Correct servers that share no code with the product, and the freedoms that correct servers take."""
