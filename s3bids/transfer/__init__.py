"""From objects to files: plan, transfer, check, record. Knows storage, and nothing of BIDS."""
