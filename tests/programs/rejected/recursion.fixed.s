; recursion, as it is right

        r1 = 3
again:  r1 += -1
        if r1 != 0 goto again
        r0 = 2
        exit
