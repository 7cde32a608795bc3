; both_by_one_or: two indices are checked by one comparison of their bitwise or
;
; Type: tc
; Linux: invalid unbounded variable-offset write to stack R2
; Twin: if r8 > 63 goto out -> if r8 > 64 goto out

        r6 = *(u32 *)(r1 + 8)           ; mark
        r7 = *(u32 *)(r1 + 32)          ; priority
        r8 = r6
        r8 |= r7
        if r8 > 63 goto out
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 1
        r3 = r10
        r3 += -64
        r3 += r7
        *(u8 *)(r3 + 0) = 2
out:
        r0 = 0
        exit
