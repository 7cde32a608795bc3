; uninitialised-register, as it is right

        r6 = r1
        call bpf_ktime_get_ns
        r0 = *(u32 *)(r6 + 12)
        exit
