; helper-argument, as it is right

        r2 = 4
        call bpf_xdp_adjust_head
        r0 = 2
        exit
