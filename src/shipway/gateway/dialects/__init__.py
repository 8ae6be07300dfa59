"""The wire formats that clients speak to models: how a request is read and how a refusal is written, one file a
dialect."""
