; alignment: a number on the stack is not aligned
;
; What is loaded from and stored to the stack is aligned to its size: 8 bytes at a multiple of 8.
;
; Type: xdp

        r2 = 1
        *(u64 *)(r10 - 12) = r2
        r0 = 2
        exit
