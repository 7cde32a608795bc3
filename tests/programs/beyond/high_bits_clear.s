; high_bits_clear: the bits above the lowest six are looked at in a copy
;
; Type: tc
; Linux: invalid unbounded variable-offset write to stack R2
; Twin: w7 &= 0xffffffc0 -> w7 &= 0xffffff80

        r6 = *(u32 *)(r1 + 8)           ; mark
        r7 = r6
        w7 &= 0xffffffc0
        if r7 != 0 goto out
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 1
out:
        r0 = 0
        exit
