; malformed: a division by the constant 0
;
; Linux refuses instructions that can mean nothing, a shift by 64 or more and a division by the constant 0 among them. A
; division by a register that is 0 is defined: its result is 0, that of a remainder the dividend.
;
; Type: xdp

        r0 = *(u32 *)(r1 + 12)
        r0 /= 0
        exit
