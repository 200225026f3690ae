"""An HTTP/1.1 server that moves bytes and knows nothing of what they mean."""
