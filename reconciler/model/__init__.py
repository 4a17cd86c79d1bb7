"""What things are: frozen values that every room shares. No behaviour but predicates, no I/O, no clock."""
