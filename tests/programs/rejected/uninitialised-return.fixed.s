; uninitialised-return, as it is right

        r2 = *(u32 *)(r1 + 12)
        r0 = 1
        if r2 == 0 goto out
        r0 = 2
out:    exit
