; pointer-arithmetic: bits of an address are computed with
;
; Pointers are added to and subtracted from. Masks, shifts and multiplications of an address are refused: what comes out
; of them leads nowhere.
;
; Type: xdp

        r2 = *(u32 *)(r1 + 0)
        r2 &= -4
        r0 = 2
        exit
