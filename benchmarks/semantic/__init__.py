"""How right a semantic cache is, measured with a real model of embeddings through a gateway, and what a look-up costs."""
