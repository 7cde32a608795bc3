; swapped_again: a length in network byte order is converted twice: once for the check, once for the use
;
; Type: xdp
; Linux: invalid variable-offset write to stack R2 var_off=(0x0; 0xffff) off=-64 size=1
; Twin: if r6 > 63 goto out -> if r6 > 64 goto out

        r2 = *(u32 *)(r1 + 4)
        r3 = *(u32 *)(r1 + 0)
        r4 = r3
        r4 += 2
        if r4 > r2 goto out
        r5 = *(u16 *)(r3 + 0)
        r6 = r5
        r6 = be16 r6
        if r6 > 63 goto out
        r5 = be16 r5
        r2 = r10
        r2 += -64
        r2 += r5
        *(u8 *)(r2 + 0) = 1
out:
        r0 = 2
        exit
