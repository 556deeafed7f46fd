"""Adapters: one room for each IR, and the only rooms besides the backends that import a compiler."""
