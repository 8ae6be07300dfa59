"""What calls of models cost. It never asks the network: prices are in the app file or in the table that comes with it."""
