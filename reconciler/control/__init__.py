"""The unix socket between the daemon and everybody else: a server for the daemon, a client for the rest."""
