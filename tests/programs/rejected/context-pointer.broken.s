; context-pointer: the context is accessed through a changed pointer
;
; The kernel rewrites each access to the context into loads from structures of its own, which it does by the offset in the
; instruction. So the register holds the context as it was given.
;
; Type: xdp

        r1 += 8
        r0 = *(u32 *)(r1 + 4)
        exit
