; helper-not-allowed: a helper that the program type does not have
;
; Which helpers a program may call depends on its type. This one is for socket buffers, which an XDP program has not yet.
;
; Type: xdp

        r2 = 0
        r3 = r10
        r3 += -8
        r4 = 8
        call bpf_skb_load_bytes
        r0 = 2
        exit
