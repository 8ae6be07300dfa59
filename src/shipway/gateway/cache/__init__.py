"""Answers of models that are kept and given again. Nothing here is asked for models without a cache."""
