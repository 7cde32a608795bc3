; spill-size, as it is right

        *(u64 *)(r10 - 8) = r1
        r1 = *(u64 *)(r10 - 8)
        r0 = *(u32 *)(r1 + 12)
        exit
