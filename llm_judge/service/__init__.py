"""The judge endpoint: HTTP requests in, decisions or typed errors out; one engine behind a bounded queue."""
