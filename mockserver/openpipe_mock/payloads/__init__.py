"""Valid requests and every way to break one, enumerated from the contract."""
