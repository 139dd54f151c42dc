"""The contract suite: pytest files that check any server. `openpipe-mock contract URL` runs them."""
