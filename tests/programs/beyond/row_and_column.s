; row_and_column: a two-dimensional index: only 4 * row + column is compared with the size, and added in two steps
;
; Type: tc
; Linux: invalid unbounded variable-offset write to stack R2
; Twin: if r8 > 63 goto out -> if r8 > 64 goto out

        r6 = *(u32 *)(r1 + 8)           ; row
        r7 = *(u32 *)(r1 + 32)          ; column
        r6 <<= 2
        r8 = r6
        r8 += r7
        if r8 > 63 goto out
        r2 = r10
        r2 += -64
        r2 += r6
        r2 += r7
        *(u8 *)(r2 + 0) = 1
out:
        r0 = 0
        exit
