"""What each frequent move touches in SQL, however much is in the tables.

Open in this order: `history` (fills the tables), `moves` (what is measured), `touched` (how).
"""
