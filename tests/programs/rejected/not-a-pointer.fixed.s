; not-a-pointer, as it is right

        r3 = *(u64 *)(r1 + 112)
        r1 = r10
        r1 += -8
        r2 = 8
        call bpf_probe_read_kernel
        r0 = *(u64 *)(r10 - 8)
        exit
