; pointer-arithmetic, as it is right

        r2 = *(u32 *)(r1 + 12)
        r2 &= -4
        r0 = 2
        exit
