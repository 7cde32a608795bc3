; remainder_is_itself: a number that is its own remainder is smaller than the divisor
;
; Type: tc
; Linux: invalid unbounded variable-offset write to stack R2
; Twin: r7 %= 64 -> r7 %= 65

        r6 = *(u32 *)(r1 + 8)           ; mark
        r7 = r6
        r7 %= 64
        r7 -= r6
        if r7 != 0 goto out
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 1
out:
        r0 = 0
        exit
