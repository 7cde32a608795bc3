; packet-loop, as it is right

        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 34
        r0 = 2
        if r4 > r3 goto out
        r5 = *(u8 *)(r2 + 14)
        r5 &= 15
        r5 <<= 2
        r2 += r5
        r4 = r2
        r4 += 15
        if r4 > r3 goto out
        r0 = *(u8 *)(r2 + 14)
out:    exit
