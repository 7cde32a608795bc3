; infinite-loop, as it is right

        r2 = *(u32 *)(r1 + 12)
        r3 = 10
again:  r0 = 2
        r3 += -1
        if r3 == 0 goto out
        if r2 == 1 goto again
out:    exit
