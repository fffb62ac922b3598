"""A simulator trained on planted units: its curriculum, its network, and how it is trained."""
