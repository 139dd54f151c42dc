"""The contract suite: pytest files that judge any server. `openpipe-mock contract URL` runs them."""
