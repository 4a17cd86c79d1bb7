"""How a node's message begins while its step waits for the machine. Read commands pay for what is imported here: nothing is."""

WAITS_FOR_MACHINE = "waits for the machine: "
