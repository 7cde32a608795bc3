; return-value: a return value that the attach point does not know
;
; A program attached to a control group's sockets lets the operation happen (1) or not (0). Linux refuses programs that
; may return something else.
;
; Type: cgroup_sock

        r0 = *(u32 *)(r1 + 4)       ; sk->family
        exit
