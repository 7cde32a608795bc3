; packet-loop: a length field of the packet is believed
;
; The header says itself how long it is, and a packet may lie. What a length field says is compared with data_end like any
; other number, in the unit that it has.
;
; Type: xdp

        r2 = *(u32 *)(r1 + 0)       ; data
        r3 = *(u32 *)(r1 + 4)       ; data_end
        r4 = r2
        r4 += 34                    ; Ethernet and IPv4 headers
        r0 = 2
        if r4 > r3 goto out
        r5 = *(u8 *)(r2 + 14)       ; version and length of the header
        r5 &= 15
        r5 <<= 2
        r2 += r5
        r0 = *(u8 *)(r2 + 14)       ; the byte behind the header
out:    exit
