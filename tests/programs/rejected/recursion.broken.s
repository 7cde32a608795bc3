; recursion: a function calls itself
;
; At most eight functions run at a time, the program included. A recursion is written as a loop.
;
; Type: xdp

        r1 = 3
        call down
        r0 = 2
        exit
down:   r1 += 1
        call down
        exit
