; context-pointer, as it is right

        r0 = *(u32 *)(r1 + 12)
        exit
