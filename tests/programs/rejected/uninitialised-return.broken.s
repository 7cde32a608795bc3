; uninitialised-return: a path ends without a return value
;
; r0 is what the program returns. A path that does not set it returns nothing that anybody could rely on.
;
; Type: xdp

        r2 = *(u32 *)(r1 + 12)
        if r2 == 0 goto out
        r0 = 2
out:    exit
