"""The control API under `/_mock/`, who may use it, and the page at `/`."""
