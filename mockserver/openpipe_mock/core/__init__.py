"""What every room may import: errors and effects as data, strict JSON, wording, secrets, scores, files."""
