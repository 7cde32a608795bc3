; packet_rest: an offset that the packet names, checked against how much is left behind it: `data_end - position < 4`
;
; Type: xdp
; Linux: R3 offset is outside of the packet
; Twin: if r5 s< 4 goto out -> if r5 s< 3 goto out

        r2 = *(u32 *)(r1 + 4)
        r3 = *(u32 *)(r1 + 0)
        r4 = r3
        r4 += 1
        if r4 > r2 goto out
        r4 = *(u8 *)(r3 + 0)            ; the offset
        r3 += r4
        r5 = r2
        r5 -= r3
        if r5 s< 4 goto out
        r5 = *(u32 *)(r3 + 0)
out:
        r0 = 2
        exit
