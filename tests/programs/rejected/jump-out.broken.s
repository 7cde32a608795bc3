; jump-out: a jump into another function
;
; Functions are entered by calls and left by exit. A jump stays inside of its function.
;
; Type: xdp

        call one
        r0 = 2
        goto inside
one:    r0 = 1
inside: exit
