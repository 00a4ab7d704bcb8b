"""TLS: secure control connections (the service ndmps), and private data connections."""
