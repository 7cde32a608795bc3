; uninitialised-register: an argument is used after a call
;
; A call leaves nothing in r1 to r5, the context in r1 neither. In C it is a variable that not every path initialises.
;
; Type: xdp

        call bpf_ktime_get_ns
        r0 = *(u32 *)(r1 + 12)      ; ctx->ingress_ifindex
        exit
