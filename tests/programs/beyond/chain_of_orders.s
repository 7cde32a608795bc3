; chain_of_orders: a <= b, b <= c and c <= 63, each compared once, the bound last
;
; Type: tc
; Linux: invalid unbounded variable-offset write to stack R2
; Twin: if r8 > 63 goto out -> if r8 > 64 goto out

        r6 = *(u32 *)(r1 + 8)           ; mark
        r7 = *(u32 *)(r1 + 32)          ; priority
        r8 = *(u32 *)(r1 + 48)          ; cb[0]
        if r6 > r7 goto out
        if r7 > r8 goto out
        if r8 > 63 goto out
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 1
out:
        r0 = 0
        exit
