"""Decision records and reviews in a database, as one chain in which every later change shows."""
