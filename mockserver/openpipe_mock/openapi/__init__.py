"""The contract document compiled into checkers that explain, and the table of endpoints."""
