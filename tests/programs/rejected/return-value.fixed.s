; return-value, as it is right

        r2 = *(u32 *)(r1 + 4)
        r0 = 1
        if r2 != 10 goto out
        r0 = 0
out:    exit
