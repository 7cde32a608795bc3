; sum_is_bounded: only the sum of offset and length is compared with the size: `if (offset + length > 64) return`
;
; Type: tc
; Linux: R4 unbounded memory access, use 'var &= const' or 'if (var < const)'
; Twin: if r8 > 64 goto out -> if r8 > 65 goto out

        r6 = *(u32 *)(r1 + 8)           ; offset
        r7 = *(u32 *)(r1 + 32)          ; length
        r8 = r6
        r8 += r7                        ; of two numbers of 32 bits: no wrap
        if r8 > 64 goto out
        if r7 == 0 goto out
        r3 = r10
        r3 += -64
        r3 += r6
        r4 = r7
        r2 = 0
        call bpf_skb_load_bytes         ; length bytes at the offset
out:
        r0 = 0
        exit
