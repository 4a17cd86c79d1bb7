"""The operator's screen. It reads through views and the read-only store, acts over the control socket, and never writes state."""
