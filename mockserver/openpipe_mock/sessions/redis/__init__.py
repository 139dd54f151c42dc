"""What sessions remember, in a Redis that several mocks share."""
