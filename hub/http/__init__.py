"""What the REST interface and the gateway share of HTTP: who is calling, query strings, JSON bodies."""
