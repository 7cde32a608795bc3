; helper-argument: a helper gets a number where it wants the context
;
; Each helper says what its arguments are. Nearly all that work on a packet want the context in r1, as the program got it.
;
; Type: xdp

        r1 = 0
        r2 = 4
        call bpf_xdp_adjust_head
        exit
