"""Running the contract suite against a server: probe, findings, reports."""
