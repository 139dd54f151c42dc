"""The control API under `/_mock/`, and who may use it."""
