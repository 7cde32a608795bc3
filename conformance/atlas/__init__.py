"""The atlas: the points on which specification and runtimes differ, and what each runtime answers there."""
