; falls-through: a function that runs past its end
;
; The last instruction of a program and of each of its functions is an exit or a jump.
;
; Type: xdp

        r0 = 2
        if r1 == 0 goto out
        exit
out:    r0 = 1
