"""Bellwire's hub: the inbox, the live gateway and the HTTP interface."""
