"""The jobs of ``python -m skebm``: what they read, search, print and draw."""
