"""What BIDS says of names, places and tables. Pure: knows nothing of storage or files."""
