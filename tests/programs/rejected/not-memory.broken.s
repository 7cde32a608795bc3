; not-memory: the end of the packet is followed
;
; data_end is a position, the first byte behind the packet: something to compare with, not to load from.
;
; Type: xdp

        r2 = *(u32 *)(r1 + 4)       ; ctx->data_end
        r0 = *(u8 *)(r2 + 0)
        exit
