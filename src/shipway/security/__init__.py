"""Who may do what and how much of it: decisions that the gateway asks for, without a transport."""
