; absolute_difference: |a - b| of two indices, without a branch
;
; Type: tc
; Linux: math between fp pointer and register with unbounded min value is not allowed
; Twin: r7 &= 63 -> r7 &= 127

        r6 = *(u32 *)(r1 + 8)           ; mark
        r7 = *(u32 *)(r1 + 32)          ; priority
        r6 &= 63
        r7 &= 63
        r6 -= r7
        r8 = r6
        r8 s>>= 63
        r6 ^= r8
        r6 -= r8
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 1
        r0 = 0
        exit
