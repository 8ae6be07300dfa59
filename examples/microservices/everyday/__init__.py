"""Answers questions about everyday things in three services: `web` in front, `retriever` and `answerer` behind it.

The services share this folder and nothing else: each is a process of its own, and they talk HTTP.
"""

import logging

# Each service is a whole program, so it decides about logging: its own lines from INFO, other packages' from WARNING.
logging.basicConfig(format="%(levelname)s %(message)s")
logging.getLogger(__name__).setLevel(logging.INFO)
