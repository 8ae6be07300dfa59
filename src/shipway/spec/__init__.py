"""The app file as typed, frozen values.

`load.load_app` is the way in; `app.App` is what it gives. This module imports nothing, so that the command line
can show its help without pydantic.
"""
