; packet_read_again: a length in the packet is checked, and read again where it is used
;
; Type: xdp
; Linux: invalid variable-offset write to stack R2 var_off=(0x0; 0xffff) off=-64 size=1
; Twin: if r5 > 63 goto out -> if r5 > 64 goto out

        r2 = *(u32 *)(r1 + 4)
        r3 = *(u32 *)(r1 + 0)
        r4 = r3
        r4 += 2
        if r4 > r2 goto out
        r5 = *(u16 *)(r3 + 0)
        if r5 > 63 goto out
        r6 = *(u16 *)(r3 + 0)
        r2 = r10
        r2 += -64
        r2 += r6
        *(u8 *)(r2 + 0) = 1
out:
        r0 = 2
        exit
