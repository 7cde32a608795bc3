; spill-size: half of a pointer is stored
;
; A pointer is stored whole, in 8 bytes. Four bytes of it are no address any more, and would tell where the kernel is.
;
; Type: xdp

        *(u32 *)(r10 - 8) = r1
        r0 = 2
        exit
