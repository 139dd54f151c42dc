"""The page at `/`, which shows a mock at work and steers it by the control API alone."""
