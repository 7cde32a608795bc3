; checked_product: rows times columns is compared with the size; then a row is an index, because there are columns
;
; Type: tc
; Linux: invalid variable-offset write to stack R2 var_off=(0x0; 0xff) off=-65 size=1
; Twin: if r8 > 64 goto out -> if r8 > 65 goto out

        r6 = *(u32 *)(r1 + 8)           ; mark
        r7 = *(u32 *)(r1 + 32)          ; priority
        r6 &= 0xff                      ; rows
        r7 &= 0xff                      ; columns
        if r7 == 0 goto out
        r8 = r6
        r8 *= r7
        if r8 > 64 goto out
        if r6 == 0 goto out
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 - 1) = 1             ; the last row
out:
        r0 = 0
        exit
