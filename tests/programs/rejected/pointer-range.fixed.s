; pointer-range, as it is right

        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = *(u32 *)(r1 + 16)
        r0 = 2
        if r4 > 100 goto out
        r2 += r4
        r5 = r2
        r5 += 1
        if r5 > r3 goto out
        r0 = *(u8 *)(r2 + 0)
out:    exit
