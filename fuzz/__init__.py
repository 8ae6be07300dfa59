"""What must hold at the parser boundary for every input: tests/fuzz checks it by random examples, scripts/fuzz for long."""
