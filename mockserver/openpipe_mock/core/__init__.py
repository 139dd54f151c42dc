"""What every room may use: errors and effects as data, strict JSON, wording, secrets, draws, resources."""
