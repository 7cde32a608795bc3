; stack-escape: a function returns the address of its own local
;
; The stack of a function ends with the function. Memory that outlives it belongs to the caller, who hands it in.
;
; Type: xdp

        call local
        r0 = *(u64 *)(r0 + 0)
        exit
local:  r1 = 7
        *(u64 *)(r10 - 8) = r1
        r0 = r10
        r0 += -8
        exit
