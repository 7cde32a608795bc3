; shifted_copy: a copy is shifted to see whether the number fits into six bits
;
; Type: tc
; Linux: invalid unbounded variable-offset write to stack R2
; Twin: r7 >>= 6 -> r7 >>= 7

        r6 = *(u32 *)(r1 + 8)           ; mark
        r7 = r6
        r7 >>= 6
        if r7 != 0 goto out
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 1
out:
        r0 = 0
        exit
