"""Many items: what to judge, and the loop that judges it and can be stopped and resumed."""
