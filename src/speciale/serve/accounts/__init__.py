"""Keys, balances, rates and the ledger, in one database."""
