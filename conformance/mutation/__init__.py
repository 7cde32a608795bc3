"""How strong a suite of cases is: single bugs are put into the semantics, and it is counted which of them it sees."""
