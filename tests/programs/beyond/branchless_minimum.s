; branchless_minimum: min(n, 63) without a branch: b ^ ((a ^ b) & -(a < b))
;
; Type: tc
; Linux: invalid unbounded variable-offset write to stack R2
; Twin: r9 = 63 -> r9 = 64

        r6 = *(u32 *)(r1 + 8)           ; mark
        r9 = 63
        r7 = r6
        r7 -= r9
        r7 s>>= 63                      ; all ones if n < 63
        r8 = r6
        r8 ^= r9
        r8 &= r7
        r8 ^= r9
        r2 = r10
        r2 += -64
        r2 += r8
        *(u8 *)(r2 + 0) = 1
        r0 = 0
        exit
