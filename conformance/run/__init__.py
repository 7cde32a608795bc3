"""Running a suite on runtimes: cases in, judgements out, whatever the runtimes do.

`pool` asks in processes of their own, `runner` judges the answers in the order of the cases, `selection` says which
cases are meant, `coverage` what operands they execute each row of the ISA table with.
"""
