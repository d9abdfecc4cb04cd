"""What the endpoint does when things break or there is too much to do, measured on real processes."""
