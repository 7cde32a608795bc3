; alignment, as it is right

        r2 = 1
        *(u64 *)(r10 - 16) = r2
        r0 = 2
        exit
