; pointer-range: an unbounded number is added to a pointer
;
; Linux follows pointers that are at most 2 to the power of 29 bytes away from where they began. A number is bounded
; before it is added, not afterwards.
;
; Type: xdp

        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = *(u32 *)(r1 + 16)      ; ctx->rx_queue_index
        r4 <<= 8
        r2 += r4
        r5 = r2
        r5 += 1
        r0 = 2
        if r5 > r3 goto out
        r0 = *(u8 *)(r2 + 0)
out:    exit
