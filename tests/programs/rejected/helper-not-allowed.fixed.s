; helper-not-allowed, as it is right

        r2 = 0
        r3 = r10
        r3 += -8
        r4 = 8
        call bpf_xdp_load_bytes
        r0 = 2
        exit
