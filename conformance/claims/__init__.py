"""Is what a verifier says of a program true?  Every number that a run has in a register is held against its claim.

`claim` has the interface: asked step by step, a verifier says which numbers a register may hold.  `kernel_log` finds
Linux's claims in its log, `states` ours in the states that we publish.  `subject` makes a case a program for both,
`run` runs it and looks, `campaign` does so for many, and `acceptance` says why one takes a program that the other does
not take.
"""
