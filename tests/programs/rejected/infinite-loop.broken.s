; infinite-loop: nothing changes from one round of a loop to the next
;
; The loop waits for something that it does not change. It needs a counter with a bound, or has to be bpf_loop.
;
; Type: xdp

        r2 = *(u32 *)(r1 + 12)
again:  r0 = 2
        if r2 == 1 goto again
        exit
