"""The Debug Adapter Protocol: how editors drive the debugger.

`framing` makes messages of bytes, `protocol` and `bodies` say what is in them and `shapes` checks it, `requests` is the
table of all requests, `server` serves one client, `transport` connects it to standard input and output or to TCP.
`backend` is the debugger behind the server.
"""
