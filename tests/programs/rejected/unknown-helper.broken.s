; unknown-helper: a helper that does not exist
;
; There is no helper of that number. It may be from a newer kernel, or not a helper but a function of the kernel.
;
; Type: xdp

        call 9999
        r0 = 2
        exit
