"""The rooms of the screen: each shows one part of a snapshot and takes keys. None of them changes state itself."""
