; unreachable: code that nothing leads to
;
; The kernel refuses programs with instructions that can never be executed. Compilers leave none; handwritten programs and
; code generators may.
;
; Type: xdp

        r0 = 2
        exit
        r0 = 1
        exit
