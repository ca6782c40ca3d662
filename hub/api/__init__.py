"""The REST interface: Starlette routes, one module a resource."""
