"""Live connections of one node: WebSocket, server-sent events, long polling."""
