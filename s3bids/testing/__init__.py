"""What tests of s3bids and of new backends need: synthetic studies, real servers on loopback, faults, a contract.

Imported by nothing in the package but the command ``s3bids demo``.
"""
