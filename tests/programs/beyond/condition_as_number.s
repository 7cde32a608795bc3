; condition_as_number: a condition is kept as a number, without a branch: `small = n < 64`, and asked for later
;
; Type: tc
; Linux: invalid unbounded variable-offset write to stack R2
; Twin: r7 -= 64 -> r7 -= 65

        r6 = *(u32 *)(r1 + 8)           ; mark
        r7 = r6
        r7 -= 64
        r7 >>= 63                       ; 1 if it was below
        r8 = *(u32 *)(r1 + 32)          ; priority
        if r7 == 0 goto out
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = r8
out:
        r0 = 0
        exit
