; order_then_bound: a relation between two registers comes first, the bound of the greater one later
;
; Type: tc
; Linux: invalid unbounded variable-offset write to stack R2
; Twin: if r7 > 64 goto out -> if r7 > 65 goto out

        r6 = *(u32 *)(r1 + 8)           ; mark
        r7 = *(u32 *)(r1 + 32)          ; priority
        if r6 >= r7 goto out            ; mark < priority
        if r7 > 64 goto out
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 1             ; 64 bytes, mark is at most 63
out:
        r0 = 0
        exit
